import { parseArgs } from "node:util";
import { measureFeast } from "./features/measure-feast.ts";
import { measureIngestion } from "./features/measure-ingestion.ts";
import { measureReading, measureViewCount } from "./features/measure-reading.ts";
import { record } from "./record.ts";

/*
 * `bench:features` measures reading beside an echo after one MGET, and ingestion; `-- --only reading` one of them;
 * `-- --peers` measures Feast's Python server beside ours.
 */
const { values } = parseArgs({ options: { only: { type: "string" }, peers: { type: "boolean", default: false } } });
const { only, peers } = values;
const parts = ["reading", "views", "ingestion"];
if (only !== undefined && !parts.includes(only)) throw new Error(`--only: expected ${parts.join(", ")}, got ${only}.`);
const seconds = Number(process.env.BENCH_SECONDS ?? 4);
const runs = Number(process.env.BENCH_RUNS ?? 3);
if (peers) {
  record("features-peers", "npx nx run bench:features -- --peers", await measureFeast(runs, seconds));
} else {
  const rows = [];
  if (only === undefined || only === "reading") rows.push(...(await measureReading(runs, seconds)));
  if (only === undefined || only === "views") rows.push(await measureViewCount(runs, seconds));
  if (only === undefined || only === "ingestion") rows.push(...(await measureIngestion(runs)));
  record("features", `npx nx run bench:features${only === undefined ? "" : ` -- --only ${only}`}`, rows);
}
