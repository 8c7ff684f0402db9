import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasBacking } from "@millrace/backing";
import { afterAll, describe, expect, test } from "vitest";
import { type Summary, Walkthrough, type WalkthroughRun } from "./run-walkthrough.ts";

const folders: string[] = [];
const freshFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-e2e-"));
  folders.push(folder);
  return folder;
};
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const start = (run: Partial<WalkthroughRun>): Walkthrough =>
  new Walkthrough({
    folder: freshFolder(),
    portOffset: 20_000,
    profile: "embedded",
    until: "2001-02-14",
    predictOneIn: 100,
    ...run,
  });

/** What must not depend on crashes or on which stores are used: everything but the last digits of sums of fractions. */
const comparable = ({ packageDigest, totals, weeks, comparedValues }: Summary) => ({
  packageDigest,
  totals,
  comparedValues,
  weeks: weeks.map(({ measures, ...rest }) => ({
    ...rest,
    measures: Object.fromEntries(Object.entries(measures).map(([name, value]) => [name, Number(value.toPrecision(9))])),
  })),
});

/** What dashboards and alert rules ask for. */
const watchedMetrics = (): ReadonlySet<string> => {
  const deploy = join(import.meta.dirname, "../../../deploy");
  const files = globSync("{grafana/dashboards/*.json,prometheus/alert-rules.yaml}", { cwd: deploy });
  const text = files.map((path) => readFileSync(join(deploy, path), "utf8")).join("\n");
  const names = text.match(/\b(?:millrace|nv|grpc_server|nodejs|process)_[a-z0-9_]+/g) ?? [];
  return new Set(names.map((name) => name.replace(/_bucket$|(?<=_seconds)_count$/, "")));
};

let undisturbed: Summary | undefined;
const undisturbedSummary = (): Summary => {
  if (undisturbed === undefined) throw new Error("The undisturbed walkthrough has to run first.");
  return undisturbed;
};

const withServicesKilled = async (profile: WalkthroughRun["profile"]): Promise<Summary> => {
  const walkthrough = start({ profile, portOffset: profile === "embedded" ? 21_000 : 22_000 });
  try {
    await walkthrough.until(() => /epoch +2/.test(walkthrough.output));
    await walkthrough.killService("training");
    for (const [day, name] of [
      [1, "feature-serving"],
      [3, "inference"],
      [5, "monitoring"],
      [6, "training"],
      [7, "feature-serving"],
    ] as const) {
      await walkthrough.untilDay(day);
      await walkthrough.killService(name);
    }
    return await walkthrough.summary();
  } finally {
    await walkthrough.stop();
  }
};

describe("the walkthrough", () => {
  test("on embedded stores predicts, counts, finds served values equal to offline ones, and exports what is watched", async () => {
    const walkthrough = start({});
    try {
      await walkthrough.untilDay(1);
      const exported = await walkthrough.exportedMetrics();
      const missing = [...watchedMetrics()].filter((name) => !exported.has(name));
      // They are there where continuous verification is on; the walkthrough compares served values by itself.
      expect(missing.filter((name) => !name.startsWith("millrace_feature_verif"))).toEqual([]);
      const found = await walkthrough.doctor();
      expect(found.map(({ state }) => state)).toEqual(["ok", "ok", "ok", "ok", "ok"]);
      expect(found.map(({ message }) => message).join("\n")).toMatch(/feature views\n.*run-[\s\S]*1 of 1 versions/);
      undisturbed = await walkthrough.summary();
    } finally {
      await walkthrough.stop();
    }
    expect(undisturbed.totals.predictions).toBeGreaterThan(500);
    expect(undisturbed.weeks[0]?.rows).toBeGreaterThan(500);
    expect(undisturbed.weeks.reduce((sum, { rows }) => sum + rows, 0)).toBe(undisturbed.totals.predictions);
    expect(undisturbed.comparedValues).toBeGreaterThan(1000);
  });

  test("on embedded stores ends with the same figures when every service is killed on the way", async () => {
    expect(comparable(await withServicesKilled("embedded"))).toEqual(comparable(undisturbedSummary()));
  });

  describe.skipIf(!hasBacking("redis", "kafka"))("on Redis and Kafka", () => {
    test("ends with the same figures as on embedded stores, with every service killed on the way", async () => {
      expect(comparable(await withServicesKilled("redis-kafka"))).toEqual(comparable(undisturbedSummary()));
    });
  });
});
