import {
  ExplainResponseSchema,
  type Explanation,
  PredictionService,
} from "@millrace/contracts/millrace/inference/v1/prediction_service";
import type { Command } from "commander";
import { collect, columnsOf, microsecondsOf } from "../column-argument.ts";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { printMessage, printTable } from "../output.ts";
import { UsageError } from "../usage-error.ts";

interface ExplainOptions extends ConnectionOptions {
  readonly entity: readonly string[];
  readonly request: readonly string[];
  readonly at?: string;
  readonly modelVersion?: string;
  readonly output?: string;
  readonly element?: string;
  readonly backgroundRows?: string;
  readonly permutations?: string;
  readonly seed?: string;
  readonly json: boolean;
}

export const explainCommand = (): Command =>
  serviceCommand("inference", "explain <model>", "says what each feature contributed to a prediction")
    .option("--entity <name=value>", "an entity key; many values with commas", collect, [])
    .option("--request <name=value>", "a request field", collect, [])
    .option("--at <time>", "the time asked for, UTC; default: now")
    .option("--model-version <version>", "default: the version in force")
    .option("--output <name>", "the output that is explained; default: the first")
    .option("--element <number>", "which element of the output's row; default: 0")
    .option("--background-rows <number>", "rows that stand for what is not known; default: 32")
    .option("--permutations <number>", "orders that are sampled; default: 16")
    .option("--seed <number>", "makes the answer repeatable; default: 1")
    .option("--json", "print protobuf JSON", false)
    .action(explain);

const explain = async (model: string, options: ExplainOptions): Promise<void> => {
  await withClient(PredictionService, options, async (client) => {
    const answer = await client.explain({
      model,
      modelVersion: options.modelVersion ?? "",
      subject: {
        case: "entities",
        value: {
          entities: columnsOf("--entity", options.entity),
          request: columnsOf("--request", options.request),
          atUs: options.at === undefined ? [] : [microsecondsOf(options.at)],
        },
      },
      output: options.output ?? "",
      element: whole("--element", options.element),
      backgroundRows: whole("--background-rows", options.backgroundRows),
      permutations: whole("--permutations", options.permutations),
      seed: BigInt(whole("--seed", options.seed)),
    });
    if (options.json) return printMessage(ExplainResponseSchema, answer);
    for (const [row, explanation] of answer.rows.entries()) {
      if (row > 0) console.log("");
      printExplanation(explanation);
    }
    console.log(`version ${answer.modelVersion}  package ${answer.packageDigest}  ${answer.evaluations} rows were run`);
  });
};

const printExplanation = ({ base, output, contributions }: Explanation): void => {
  printTable([
    ["what", "contribution", "standard error"],
    ["(base)", signed(base), ""],
    ...contributions.map(({ name, value, standardError }) => [name, signed(value), standardError.toPrecision(2)]),
    ["(output)", signed(output), ""],
  ]);
};

const signed = (value: number): string => `${value < 0 ? "" : "+"}${value.toPrecision(4)}`;

const whole = (option: string, text: string | undefined): number => {
  if (text === undefined) return 0;
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${option} expects a whole number, got ${text}.`);
  return Number(text);
};
