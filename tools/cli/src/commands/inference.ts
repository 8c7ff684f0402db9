import { existsSync, readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type DeploymentDeclaration,
  DeploymentDeclarationSchema,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import {
  DeploymentService,
  GetStatusResponseSchema,
  VersionStatus_State,
} from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { PredictionService, PredictResponseSchema } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Command } from "commander";
import { parse, stringify } from "yaml";
import { collect, columnsOf, microsecondsOf } from "../column-argument.ts";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { endProgress, enumName, printMessage, printTable, showProgress } from "../output.ts";
import { UsageError } from "../usage-error.ts";

const command = (usage: string, description: string): Command => serviceCommand("inference", usage, description);

export const inferenceCommands = (): Command[] => [
  command("deploy <model> <package>", "declares a package behind a model name and waits until it serves")
    .requiredOption("--file <deployments.yaml>", "the declaration that the inference service watches")
    .option("--timeout <seconds>", "how long to wait", "60")
    .action(deploy),
  command("deployments [model]", "says what is served, and why not")
    .option("--json", "print protobuf JSON", false)
    .action(deployments),
  command("predict <model>", "predicts for entities")
    .option("--entity <name=value>", "an entity key; many values with commas", collect, [])
    .option("--request <name=value>", "a request field", collect, [])
    .option("--at <time>", "the time asked for, UTC; default: now")
    .option("--json", "print protobuf JSON", false)
    .action(predict),
];

const readDeclaration = (file: string): DeploymentDeclaration => {
  try {
    return fromJson(
      DeploymentDeclarationSchema,
      existsSync(file) ? (parse(readFileSync(file, "utf8")) as JsonValue) : {},
    );
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError(
      "INVALID_ARGUMENT",
      Reason.DECLARATION_INVALID,
      `${file} is no deployment declaration: ${why}`,
      { cause },
    );
  }
};

const deploy = async (
  model: string,
  reference: string,
  options: ConnectionOptions & { file: string; timeout: string },
): Promise<void> => {
  const timeoutMs = Number(options.timeout) * 1000;
  if (!(timeoutMs > 0)) throw new UsageError(`--timeout expects a number of seconds, got ${options.timeout}.`);
  const declaration = readDeclaration(options.file);
  const present = declaration.deployments.find((deployment) => deployment.model === model);
  const newest = present?.versions.reduce((most, { version }) => (version > most ? version : most), 0n) ?? 0n;
  const same = present?.versions.length === 1 && present.versions[0]?.package === reference;
  const version = same ? newest : newest + 1n;
  const versions = [{ version: String(version), package: reference }];
  const json = toJson(DeploymentDeclarationSchema, declaration) as { deployments?: Record<string, unknown>[] };
  const others = json.deployments ?? [];
  const deployments =
    present === undefined
      ? [...others, { model, versions }]
      : others.map((deployment) => (deployment.model === model ? { ...deployment, versions } : deployment));
  await withClient(DeploymentService, options, async (client) => {
    const next = fromJson(DeploymentDeclarationSchema, { deployments } as JsonValue);
    const { findings } = await client.validate({ declaration: next }, { timeoutMs: 60_000 });
    const finding = findings[0];
    if (finding !== undefined) throw new Error(`${finding.field}: ${finding.reason}: ${finding.message}`);
    await writeFile(`${options.file}.part`, stringify({ deployments }));
    await rename(`${options.file}.part`, options.file);
    for await (const answer of client.watchStatus({ model }, { timeoutMs })) {
      const status = answer.deployments
        .flatMap((deployment) => deployment.versions)
        .find((one) => one.version === version);
      if (status === undefined) continue;
      showProgress(`version ${version} is ${enumName(VersionStatus_State, status.state).toLowerCase()}`);
      if (status.state === VersionStatus_State.FAILED) throw new Error(`${status.reason}: ${status.message}`);
      if (status.state !== VersionStatus_State.READY) continue;
      endProgress();
      console.log(`${model} version ${version} serves ${status.digest}`);
      return;
    }
    throw new Error(`${model} version ${version} was not in force when the service stopped telling.`);
  });
};

const deployments = async (
  model: string | undefined,
  options: ConnectionOptions & { json: boolean },
): Promise<void> => {
  await withClient(DeploymentService, options, async (client) => {
    const answer = await client.getStatus({ model: model ?? "" });
    if (options.json) return printMessage(GetStatusResponseSchema, answer);
    printTable([
      ["model", "version", "state", "package", "why"],
      ...answer.deployments.flatMap(({ model: name, versions }) =>
        versions.map((one) => [
          name,
          String(one.version),
          enumName(VersionStatus_State, one.state).toLowerCase(),
          one.package,
          one.message,
        ]),
      ),
    ]);
  });
};

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
