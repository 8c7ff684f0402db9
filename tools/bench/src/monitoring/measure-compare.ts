import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { pythonEnvironment } from "../peers/python-environment.ts";
import { type Measured, median, round } from "../record.ts";
import { type CommandCost, measureCommand } from "./measure-command.ts";

const rows = Number(process.env.BENCH_ROWS ?? 1_000_000);
const numbers = 16;
const texts = 4;
const millrace = join(import.meta.dirname, "../../../cli/bin/millrace.js");
const script = join(import.meta.dirname, "compare_tables.py");
const mebibyte = 1024 * 1024;

/** By name: what has to be installed. whylogs is left out: what it compares are sketches, not tables. */
const peers: Readonly<Record<string, readonly string[]>> = {
  scipy: ["scipy==1.17.1", "pandas==2.3.3", "pyarrow==26.0.1"],
  evidently: ["evidently==0.7.23", "pandas==2.3.3", "pyarrow==26.0.1"],
};

/** Two tables of 1,000,000 rows: 16 columns of numbers, of which half drift, and 4 of text. */
const writeTables = async (folder: string): Promise<readonly [string, string]> => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const paths = [join(folder, "reference.parquet"), join(folder, "current.parquet")] as const;
  for (const [side, path] of paths.entries()) {
    const spread = (column: number) => `(hash(i * 64 + ${column * 2 + side}) % 1000000)::DOUBLE / 1e6`;
    const columns = [
      ...Array.from(
        { length: numbers },
        (_, column) => `ln(1 + ${spread(column)}) * ${1 + side * (column % 2) * 0.2} AS n${column}`,
      ),
      ...Array.from(
        { length: texts },
        (_, column) => `'value ' || floor(${spread(100 + column)} ** ${1 + side} * 20)::INTEGER AS t${column}`,
      ),
    ];
    await connection.run(`COPY (SELECT ${columns.join(", ")} FROM range(${rows}) r(i)) TO '${path}' (FORMAT parquet)`);
  }
  connection.closeSync();
  instance.closeSync();
  return paths;
};

/**
 * The exact comparison of two tables, on one core, from the start of a process to its end: ours as a user calls it, SciPy
 * without anything around it, and Evidently. All three find the same distances.
 */
export const measureCompare = async (runs: number, withPeers: boolean): Promise<Measured[]> => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
  try {
    const [reference, current] = await writeTables(folder);
    const ours: CommandCost[] = [];
    const theirs = new Map<string, CommandCost[]>();
    const node = { NODE_OPTIONS: "--conditions=@millrace/source" };
    for (let run = 0; run < runs; run++) {
      ours.push(
        await measureCommand(
          process.execPath,
          [millrace, "compare", "--reference", reference, "--current", current, "--test", "default", "--json"],
          node,
        ),
      );
      for (const [name, requirements] of withPeers ? Object.entries(peers) : []) {
        // Minutes: once says enough.
        if (name === "evidently" && run > 0) continue;
        const { python } = await pythonEnvironment(`monitoring-${name}`, requirements);
        const cost = await measureCommand(python, ["-W", "ignore", script, name, reference, current]);
        theirs.set(name, [...(theirs.get(name) ?? []), cost]);
      }
    }
    for (const [name, costs] of theirs) checkEqual(ours[0], costs[0], name);
    const seconds = (costs: readonly CommandCost[]) => costs.map((cost) => cost.seconds);
    const peak = (costs: readonly CommandCost[]) => Math.max(...costs.map((cost) => cost.peakBytes / mebibyte));
    const what = `compare ${round(rows)} × ${numbers + texts}, exactly, on one core`;
    const own = { ours: median(seconds(ours)), unit: "s", runs: seconds(ours) };
    return [
      { what, ...own, bar: { of: "figure", atMost: 6 } },
      ...[...theirs].map(
        ([name, costs]): Measured => ({
          what: `the same beside ${name}`,
          ...own,
          ceiling: median(seconds(costs)),
          ceilingName: name,
          note: `${name} took ${round(peak(costs))} MiB`,
          ...(name === "scipy" ? { bar: { of: "ratio", atMost: 1 } as const } : {}),
        }),
      ),
      {
        what: "the same: resident memory at its peak",
        ours: peak(ours),
        unit: "MiB",
        runs: ours.map((cost) => cost.peakBytes / mebibyte),
        bar: { of: "figure", atMost: 600 },
      },
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** @throws where a peer's distance of a column is not ours. */
const checkEqual = (own: CommandCost | undefined, peer: CommandCost | undefined, name: string): void => {
  const found = new Map(
    (JSON.parse(own?.output ?? "[]") as { column: string; value: number }[]).map(({ column, value }) => [
      column,
      value,
    ]),
  );
  for (const [column, value] of Object.entries(JSON.parse(peer?.output ?? "{}") as Record<string, number>)) {
    const mine = found.get(column) ?? Number.NaN;
    if (!(Math.abs(mine - value) <= 1e-9 + 1e-6 * Math.abs(value))) {
      throw new Error(`${name} says ${value} of ${column}, and ours ${mine}.`);
    }
  }
};
