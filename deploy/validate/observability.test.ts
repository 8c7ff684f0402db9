import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { toGrafana } from "../grafana/dashboard.ts";
import { dashboards } from "../grafana/dashboards.ts";
import { metricsIn } from "./metrics-in.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook: string };
}
const { groups } = parse(read("deploy/prometheus/alert-rules.yaml")) as {
  readonly groups: readonly { readonly name: string; readonly rules: readonly AlertRule[] }[];
};
const rules = groups.flatMap((group) => group.rules);

/** Names with braces written out: `a_{b,c}_d` is `a_b_d` and `a_c_d`. */
const written = (text: string): string =>
  text.replace(/`([a-z_]*)\{([a-z_,]+)\}([a-z_]*)`/g, (whole, before: string, middle: string, after: string) =>
    !before.endsWith("_")
      ? whole
      : middle
          .split(",")
          .map((part) => `\`${before}${part}${after}\``)
          .join(" "),
  );

/** Metrics that the READMEs name: those of the services, and those of every service. */
const documented = written(
  ["feature-serving", "inference", "training", "monitoring"]
    .map((name) => read(`services/${name}/README.md`))
    .concat(read("libs/service-host/README.md"))
    .join("\n"),
);
/** Of prom-client's collector of the process, and Prometheus' own. */
const ambient = [
  "up",
  "ALERTS",
  "nodejs_eventloop_lag_p99_seconds",
  "process_resident_memory_bytes",
  "process_cpu_seconds_total",
];

const unknown = (expr: string): string[] =>
  metricsIn(expr).filter((name) => !ambient.includes(name) && !new RegExp(`${name}(?![a-z0-9_])`).test(documented));

describe("dashboards", () => {
  test("are what dashboards.ts says (nx run deploy:dashboards writes them)", () => {
    const files = globSync("deploy/grafana/dashboards/*.json", { cwd: root }).map((path) => basename(path));
    expect(files.sort()).toEqual(dashboards.map(({ uid }) => `${uid}.json`).sort());
    for (const dashboard of dashboards) {
      const file = read(`deploy/grafana/dashboards/${dashboard.uid}.json`);
      expect(JSON.parse(file), dashboard.uid).toEqual(JSON.parse(JSON.stringify(toGrafana(dashboard))));
    }
  });

  test("ask for metrics that the services have, and say what to make of each", () => {
    for (const { uid, rows } of dashboards) {
      for (const { title, description, series } of rows.flatMap((row) => row.panels)) {
        expect(
          series.flatMap(({ expr }) => unknown(expr)),
          `${uid}: ${title}`,
        ).toEqual([]);
        expect(description, `${uid}: ${title}`).toMatch(/\.$/);
      }
    }
  });

  test("have every panel in a place of its own", () => {
    for (const dashboard of dashboards) {
      const { panels } = toGrafana(dashboard) as {
        readonly panels: readonly {
          readonly id: number;
          readonly gridPos: { readonly x: number; readonly y: number };
        }[];
      };
      expect(new Set(panels.map(({ gridPos: { x, y } }) => `${x} ${y}`)).size, dashboard.uid).toBe(panels.length);
      expect(new Set(panels.map(({ id }) => id)).size, dashboard.uid).toBe(panels.length);
    }
  });
});

describe("alert rules", () => {
  test("are about metrics that the services have", () => {
    expect(rules.length).toBeGreaterThan(20);
    for (const { alert, expr } of rules) expect(unknown(expr), alert).toEqual([]);
  });

  test("have each a runbook, which has its parts, and there is no other", () => {
    for (const { alert, annotations } of rules) {
      expect(annotations.runbook).toBe(`docs/runbooks/${alert}.md`);
      const page = read(annotations.runbook);
      expect(page.startsWith(`# ${alert}\n`), alert).toBe(true);
      expect(page, alert).toMatch(/\n## Look first\n[\s\S]*\n## Causes\n[\s\S]*\n## It clears\n/);
    }
    const pages = globSync("docs/runbooks/Millrace*.md", { cwd: root }).map((path) => basename(path, ".md"));
    expect(pages.sort()).toEqual(rules.map(({ alert }) => alert).sort());
  });

  test("name only commands and settings that there are", () => {
    const pages = globSync("docs/runbooks/*.md", { cwd: root }).map((path) => read(path));
    const commands = globSync("tools/cli/src/**/*.ts", { cwd: root })
      .map((path) => read(path))
      .join("\n");
    const settings = globSync("{services/*/src/settings.ts,libs/service-host/src/host-settings.ts}", { cwd: root })
      .map((path) => read(path))
      .join("\n");
    for (const [, command = ""] of pages.join("\n").matchAll(/(?:^|`)millrace ([a-z-]+)/gm)) {
      expect(commands, command).toMatch(new RegExp(`ommand\\((?:\\s*(?:"[a-z-]+"|[a-z]+),)?\\s*"${command}[ "]`));
    }
    for (const [name] of pages.join("\n").matchAll(/MILLRACE_[A-Z_]+/g)) {
      const key = name
        .replace("MILLRACE_", "")
        .toLowerCase()
        .replace(/_[a-z]/g, (letter) => letter.slice(1).toUpperCase());
      expect(settings, name).toMatch(new RegExp(`\\b${key}: setting\\(`));
    }
  });
});
