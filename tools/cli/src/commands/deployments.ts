import {
  DeploymentService,
  type DeploymentStatus,
  GetStatusResponseSchema,
  VersionStatus_State as State,
  type VersionStatus,
} from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { Command } from "commander";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { enumName, printMessage, printTable, timeText } from "../output.ts";

/** `deployments`: what is served, and what is not and why. */
export const deploymentsCommand = (): Command =>
  serviceCommand("inference", "deployments [model]", "says what is served, and why not")
    .option("--all", "also versions that are gone", false)
    .option("--json", "print protobuf JSON", false)
    .action(deployments);

const deployments = async (
  model: string | undefined,
  options: ConnectionOptions & { readonly all: boolean; readonly json: boolean },
): Promise<void> => {
  await withClient(DeploymentService, options, async (client) => {
    const answer = await client.getStatus({ model: model ?? "" });
    if (options.json) return printMessage(GetStatusResponseSchema, answer);
    printTable([
      ["model", "version", "state", "share", "since", "package", "why"],
      ...answer.deployments.flatMap((deployment) =>
        deployment.versions
          .filter(({ state }) => options.all || state !== State.UNLOADED)
          .map((version) => row(deployment, version)),
      ),
    ]);
    for (const { model: name, message, pendingHash } of answer.deployments) {
      if (pendingHash !== "") console.log(`${name}: a newer declaration is not in force. ${message}`);
    }
    const { message = "" } = answer.declaration ?? {};
    if (message !== "") console.log(`The newest declaration is not put in force: ${message}`);
  });
};

const row = ({ model }: DeploymentStatus, version: VersionStatus): string[] => [
  model,
  String(version.version),
  enumName(State, version.state).toLowerCase(),
  shareText(version),
  timeText(version.since).replace(/\.\d+Z$/, "Z"),
  version.package.replace(/@sha256:([0-9a-f]{12})[0-9a-f]+$/, "@sha256:$1…"),
  version.message,
];

const shareText = ({ weight, shadow, header, state }: VersionStatus): string => {
  if (shadow) return "shadow";
  const share = state === State.READY ? `${Number((weight * 100).toFixed(2))} %` : "";
  return header === "" ? share : `${share}, ${header}`;
};
