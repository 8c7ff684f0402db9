import { Command, Option } from "commander";
import { collect } from "../column-argument.ts";
import { printTable } from "../output.ts";
import { UsageError } from "../usage-error.ts";

interface EvaluateCommandOptions {
  readonly table: string;
  readonly label: string;
  readonly prediction: string;
  readonly weight?: string;
  readonly slice: readonly string[];
  readonly minSliceRows: string;
  readonly task?: "binary" | "regression";
  readonly metric: readonly string[];
  readonly json: boolean;
}

/** Evaluates a Parquet file of labels and predictions, without a service: the same figures as of a training run. */
export const evaluateCommand = (): Command =>
  new Command("evaluate")
    .description("measures predictions in a Parquet file against their labels: overall and by slice")
    .requiredOption("--table <file>", "Parquet: a row a prediction")
    .requiredOption("--label <column>", "what was true: 0 and 1, a boolean, or a number")
    .requiredOption("--prediction <column>", "what was predicted: the probability of 1, or a number")
    .option("--weight <column>", "the weight of each row; default 1")
    .option(
      "--slice <column>",
      "also each value of this column by itself, the worst first; may be repeated",
      collect,
      [],
    )
    .option("--min-slice-rows <number>", "leave out slices of fewer rows", "1")
    .addOption(
      new Option("--task <task>", "default: binary where every label is 0 or 1").choices(["binary", "regression"]),
    )
    .option("--metric <name>", "only this metric, such as ROC_AUC or PINBALL_90; may be repeated", collect, [])
    .option("--json", "print JSON: metric, slice, value, rows, sliceColumn, error", false)
    .action(async (options: EvaluateCommandOptions) => {
      const { table, label, prediction, weight, slice, minSliceRows, task, metric, json } = options;
      if (!/^[1-9]\d{0,8}$/.test(minSliceRows)) {
        throw new UsageError(`--min-slice-rows: expected a number from 1 on, got ${minSliceRows}.`);
      }
      // Loaded when it is needed: a command that asks a service starts without a SQL engine.
      const { evaluateParquet } = await import("@millrace/stats/evaluate-parquet");
      const measured = await evaluateParquet(table, {
        label,
        prediction,
        slices: slice,
        minSliceRows: Number(minSliceRows),
        metrics: metric,
        ...(weight !== undefined && { weight }),
        ...(task !== undefined && { task }),
      });
      if (json) {
        console.log(JSON.stringify(measured, null, 2));
        return;
      }
      printTable([
        ["slice", "rows", "metric", "value", ""],
        ...measured.map(({ sliceColumn, slice: value, rows, metric: name, value: figure, error }) => [
          sliceColumn === null ? "all" : `${sliceColumn}=${value}`,
          String(rows),
          name,
          figure === null ? "" : figure.toPrecision(6),
          error?.reason ?? "",
        ]),
      ]);
    });
