import { PredictionService, PredictResponseSchema } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import type { Command } from "commander";
import { collect, columnsOf, microsecondsOf } from "../column-argument.ts";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { printMessage, printTable } from "../output.ts";
import { deployCommand } from "./deploy.ts";
import { deploymentsCommand } from "./deployments.ts";
import { trafficCommands } from "./promote.ts";

export const inferenceCommands = (): Command[] => [
  deployCommand(),
  ...trafficCommands(),
  deploymentsCommand(),
  serviceCommand("inference", "predict <model>", "predicts for entities")
    .option("--entity <name=value>", "an entity key; many values with commas", collect, [])
    .option("--request <name=value>", "a request field", collect, [])
    .option("--at <time>", "the time asked for, UTC; default: now")
    .option("--json", "print protobuf JSON", false)
    .action(predict),
];

interface PredictOptions extends ConnectionOptions {
  readonly entity: readonly string[];
  readonly request: readonly string[];
  readonly at?: string;
  readonly json: boolean;
}

const predict = async (model: string, options: PredictOptions): Promise<void> => {
  await withClient(PredictionService, options, async (client) => {
    const answer = await client.predict({
      model,
      entities: columnsOf("--entity", options.entity),
      request: columnsOf("--request", options.request),
      atUs: options.at === undefined ? [] : [microsecondsOf(options.at)],
      withFeatures: true,
    });
    if (options.json) return printMessage(PredictResponseSchema, answer);
    printTable([
      ["prediction", ...answer.outputs.map(({ name }) => name)],
      ...answer.predictionIds.map((id, row) => [
        id,
        ...answer.outputs.map((output) => elementText(output.datatype, output.data, row, answer.predictionIds.length)),
      ]),
    ]);
    console.log(`version ${answer.modelVersion}  package ${answer.packageDigest}`);
  });
};

/** The elements of one row of a float output; other datatypes are shown by --json. */
const elementText = (datatype: string, data: Uint8Array, row: number, rows: number): string => {
  if (datatype !== "FP32") return `(${datatype})`;
  const width = data.byteLength / 4 / rows;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: width }, (_, column) =>
    view.getFloat32((row * width + column) * 4, true).toFixed(4),
  ).join(" ");
};
