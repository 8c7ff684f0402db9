import { readFile } from "node:fs/promises";
import { ComparisonInvalidError } from "@millrace/stats";
import type { TableToCompare } from "@millrace/stats/compare-tables";
import { Command } from "commander";
import { collect } from "../column-argument.ts";
import { printTable } from "../output.ts";

interface CompareOptions {
  readonly reference: string;
  readonly current: string;
  readonly test: readonly string[];
  readonly column: readonly string[];
  readonly json: boolean;
}

/** Compares two tables exactly, without a service. */
export const compareCommand = (): Command =>
  new Command("compare")
    .description(
      "compares two tables column by column: has the data drifted? Files are Parquet, or Arrow IPC (.arrow, .arrows, .ipc, .feather)",
    )
    .requiredOption("--reference <file>", "what is normal")
    .requiredOption("--current <file>", "what is to be judged")
    .option(
      "--test <name>",
      "ks, cramer_von_mises, anderson, wasserstein, energy, jensenshannon, psi, kl_div, hellinger, total_variation, chisquare, z or default; may be repeated",
      collect,
      [],
    )
    .option("--column <name>", "only this column; may be repeated", collect, [])
    .option("--json", "print JSON: column, test, value, pValue, threshold, verdict, error", false)
    .action(async ({ reference, current, test, column, json }: CompareOptions) => {
      // Loaded when it is needed: a command that asks a service starts without a SQL engine.
      const { compareTables } = await import("@millrace/stats/compare-tables");
      const tables = [await tableOf("reference", reference), await tableOf("current", current)] as const;
      const comparison = await compareTables(...tables, {
        ...(test.length > 0 && { tests: test }),
        ...(column.length > 0 && { columns: column }),
      });
      if (json) {
        console.log(JSON.stringify(comparison.columns, null, 2));
        return;
      }
      const digits = (value: number | undefined): string => (value === undefined ? "" : value.toPrecision(4));
      printTable([
        ["column", "test", "value", "p", "threshold", "verdict", ""],
        ...comparison.columns.map((one) => [
          one.column,
          one.test,
          digits(one.value),
          digits(one.pValue),
          digits(one.threshold),
          one.verdict,
          one.error ?? "",
        ]),
      ]);
      console.log(
        comparison.datasetDrift ? "The dataset drifted: half of its columns or more." : "The dataset did not drift.",
      );
    });

const tableOf = async (field: string, path: string): Promise<TableToCompare> => {
  if (!/\.(arrows?|ipc|feather)$/i.test(path)) return { parquet: path };
  try {
    return { arrow: await readFile(path) };
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause);
    throw new ComparisonInvalidError(
      `\`${path}\` cannot be read.`,
      [{ field, expected: "a readable file", got }],
      cause,
    );
  }
};
