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

/** Compares two Parquet files exactly, without a service. */
export const compareCommand = (): Command =>
  new Command("compare")
    .description("compares two Parquet files column by column: has the data drifted?")
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
      const { compareParquet } = await import("@millrace/stats/parquet");
      const comparison = await compareParquet(reference, current, {
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
