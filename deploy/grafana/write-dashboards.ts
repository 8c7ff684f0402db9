import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toGrafana } from "./dashboard.ts";
import { dashboards } from "./dashboards.ts";

// `nx run deploy:dashboards`: writes what Grafana imports, from what is written in dashboards.ts.

export const folder = join(import.meta.dirname, "dashboards");

/** The files, by name. */
export const dashboardFiles = (): ReadonlyMap<string, string> =>
  new Map(dashboards.map((one) => [`${one.uid}.json`, `${JSON.stringify(toGrafana(one), undefined, 2)}\n`]));

if (import.meta.main) {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of dashboardFiles()) {
    writeFileSync(join(folder, name), text);
    console.log(`wrote ${name}`);
  }
}
