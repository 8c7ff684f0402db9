import { execFileSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";

/** What the design asks of a figure. Of the ratio to the ceiling or peer, or of the figure itself. */
export type Bar =
  | { readonly of: "ratio" | "figure"; readonly atLeast: number }
  | { readonly of: "ratio" | "figure"; readonly atMost: number };

/** One measured row: a name, our figure, the ceiling's in the same run, and what the ratio means. */
export interface Measured {
  readonly what: string;
  readonly ours: number;
  readonly unit: string;
  /** The ceiling or the peer, measured in the same run; absent where there is none. */
  readonly ceiling?: number;
  readonly ceilingName?: string;
  readonly runs: readonly number[];
  readonly bar?: Bar;
  readonly note?: string;
}

/** A line of a record: one run of a benchmark. */
export interface RecordLine {
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  /** Processes that ran or waited for a processor in the minute before the run, on average: what else the machine did. */
  readonly loadAverage?: number;
  readonly command: string;
  readonly rows: readonly Measured[];
}

// Taken when the benchmark begins: later it is the benchmark's own.
const [loadAverage = 0] = loadavg();

/** Whether the figure meets its bar; undefined for one without. */
export const meetsBar = ({ ours, ceiling, bar }: Measured): boolean | undefined => {
  if (bar === undefined) return undefined;
  const value = bar.of === "ratio" ? ours / (ceiling ?? Number.NaN) : ours;
  return "atLeast" in bar ? value >= bar.atLeast : value <= bar.atMost;
};

/** The bar as text, and whether it is met: `≥ 0.8, met`. Empty for a figure without. */
export const barText = (row: Measured): string => {
  const { bar } = row;
  if (bar === undefined) return "";
  const unit = bar.of === "figure" ? ` ${row.unit}` : "";
  return `${"atLeast" in bar ? `≥ ${bar.atLeast}` : `≤ ${bar.atMost}`}${unit}, ${meetsBar(row) === true ? "met" : "**not met**"}`;
};

/** The middle one of several runs. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

const root = join(import.meta.dirname, "../../..");

const commit = (): string => {
  try {
    const git = (...args: readonly string[]) => execFileSync("git", args, { encoding: "utf8", cwd: root }).trim();
    const changed = git("status", "--porcelain", "--", "proto", "libs", "services", "tools/bench/src") !== "";
    return `${git("rev-parse", "--short", "HEAD")}${changed ? " with changes" : ""}`;
  } catch {
    // Run from an archive without history.
    return "none";
  }
};

/** Prints the figures of a benchmark and keeps them as one line of records/NAME.ndjson, unless BENCH_RECORD is "false". */
export const record = (name: string, command: string, rows: readonly Measured[]): void => {
  for (const row of rows) {
    const { what, ours, unit, ceiling, ceilingName, note } = row;
    const bar = row.bar === undefined ? "" : `   bar ${barText(row).replaceAll("*", "")}`;
    const ratio =
      ceiling === undefined ? "" : `   ${(ours / ceiling).toFixed(2)} of ${ceilingName} (${round(ceiling)})`;
    console.log(`${what.padEnd(56)} ${round(ours)} ${unit}${ratio}${bar}${note === undefined ? "" : `   ${note}`}`);
  }
  if (process.env.BENCH_RECORD === "false") return;
  const line: RecordLine = {
    date: new Date().toISOString(),
    commit: commit(),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
    loadAverage,
    command,
    rows,
  };
  appendFileSync(join(import.meta.dirname, `../records/${name}.ndjson`), `${JSON.stringify(line)}\n`);
};

/** A figure with three digits, or as a whole number from 100. */
export const round = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
