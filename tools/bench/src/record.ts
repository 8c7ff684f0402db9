import { execFileSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";

/** One measured row: a name, our figure, the ceiling's in the same run, and what the ratio means. */
export interface Measured {
  readonly what: string;
  readonly ours: number;
  readonly unit: string;
  /** The ceiling or the peer, measured in the same run; absent where there is none. */
  readonly ceiling?: number;
  readonly ceilingName?: string;
  readonly runs: readonly number[];
  readonly note?: string;
}

/** The middle one of several runs. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

const commit = (): string => {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    // Run from an archive without history.
    return "none";
  }
};

/** Prints the figures of a benchmark and keeps them as one line of records/NAME.ndjson. */
export const record = (name: string, command: string, rows: readonly Measured[]): void => {
  for (const { what, ours, unit, ceiling, ceilingName, note } of rows) {
    const ratio =
      ceiling === undefined ? "" : `   ${(ours / ceiling).toFixed(2)} of ${ceilingName} (${round(ceiling)})`;
    console.log(`${what.padEnd(56)} ${round(ours)} ${unit}${ratio}${note === undefined ? "" : `   ${note}`}`);
  }
  const line = {
    date: new Date().toISOString(),
    commit: commit(),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
    command,
    rows,
  };
  appendFileSync(join(import.meta.dirname, `../records/${name}.ndjson`), `${JSON.stringify(line)}\n`);
};

const round = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
