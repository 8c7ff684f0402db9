import { existsSync, readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { type VersionStatus, VersionStatus_State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { stringify } from "yaml";
import type { Narration } from "../narration.ts";
import type { Clients } from "./clients.ts";

/** The service checked the package and does not serve it. */
export class DeploymentRefusedError extends Error {
  constructor(status: VersionStatus) {
    super(`Version ${status.version} is not served: ${status.reason} ${status.message}`);
    this.name = "DeploymentRefusedError";
  }
}

/**
 * Declares one package behind a model name, by digest, and waits until the service says that it is in force. Deploying is
 * writing a file: the service watches it, and each replica reads the same.
 */
export const deploy = async (
  { deployments }: Clients,
  file: string,
  model: string,
  packageReference: string,
  narration: Narration,
): Promise<void> => {
  const declaration = stringify({
    deployments: [
      {
        model,
        versions: [{ version: 1, package: packageReference }],
        // The figures of this walkthrough count every prediction, so an answer waits until the log has it.
        predictionLog: { sampling: 1, acknowledge: "BEFORE_RESPONSE" },
      },
    ],
  });
  const unchanged = existsSync(file) && readFileSync(file, "utf8") === declaration;
  if (!unchanged) {
    await writeFile(`${file}.part`, declaration);
    await rename(`${file}.part`, file);
  }
  const digest = packageReference.split("@")[1];
  const signal = AbortSignal.timeout(60_000);
  for await (const answer of deployments.watchStatus({ model }, { signal, timeoutMs: 60_000 })) {
    const status = answer.deployments
      .flatMap(({ versions }) => versions)
      .find((version) => version.digest === digest || version.package === packageReference);
    if (status === undefined) continue;
    if (status.state === VersionStatus_State.FAILED) throw new DeploymentRefusedError(status);
    if (status.state !== VersionStatus_State.READY) continue;
    narration.line(
      `${status.goldenExamples} golden examples gave the answers that the package says; runs on ${status.executionProvider}.`,
    );
    narration.strong(`${model} version ${status.version} serves ${digest?.slice(0, 19)}…`);
    return;
  }
  throw new Error(`${model} was not in force within a minute.`);
};
