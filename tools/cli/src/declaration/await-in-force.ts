import {
  type DeploymentService,
  type DeploymentStatus,
  VersionStatus_State as State,
  type VersionStatus,
  type WatchStatusResponse,
} from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError, Reason } from "@millrace/errors";
import { type Client, RpcError } from "@millrace/grpc";
import { endProgress, enumName, showProgress } from "../output.ts";

/** Thrown when what was declared is not put in force, with the service's reason. */
export class NotInForceError extends MillraceError {
  constructor(message: string, reason = "") {
    const known: Readonly<Record<string, Reason>> = Reason;
    super("FAILED_PRECONDITION", known[reason] ?? Reason.MODEL_NOT_READY, message);
  }
}

/** What is waited for. */
export interface Awaited {
  readonly model: string;
  readonly version: bigint;
  /** Of the text of the deployments file. */
  readonly hash: string;
  /** Whether the version that is ready is as it was declared. */
  readonly isAsDeclared: (version: VersionStatus) => boolean;
}

/**
 * Waits until a declaration is in force for a model, and a version of it is ready.
 * @param check called with each status: throws where there is nothing to wait for any more.
 * @returns the version's status. @throws NotInForceError with the service's reason, or when the time is over.
 */
export const awaitInForce = async (
  client: Client<typeof DeploymentService>,
  awaited: Awaited,
  timeoutMs: number,
  check: () => Promise<void>,
): Promise<VersionStatus> => {
  const { model, version, hash } = awaited;
  let last: WatchStatusResponse | undefined;
  try {
    for await (const status of client.watchStatus({ model }, { timeoutMs })) {
      last = status;
      await check();
      if (status.declaration?.hash === hash && status.declaration.message !== "") {
        throw new NotInForceError(status.declaration.message, "DECLARATION_INVALID");
      }
      const deployment = status.deployments.find((one) => one.model === model);
      const found = deployment?.versions.findLast((one) => one.version === version);
      if (deployment === undefined || found === undefined) continue;
      showProgress(`version ${version} is ${enumName(State, found.state).toLowerCase()}`);
      if (![deployment.declarationHash, deployment.pendingHash].includes(hash)) continue;
      if (found.state === State.FAILED) throw new NotInForceError(found.message, found.reason);
      if (deployment.declarationHash !== hash || found.state !== State.READY) continue;
      if (awaited.isAsDeclared(found)) return found;
    }
  } catch (error) {
    if (!(error instanceof RpcError) || error.code !== "DEADLINE_EXCEEDED") throw error;
    throw new NotInForceError(`After ${timeoutMs / 1000} s ${whyNot(last, awaited)}.`);
  } finally {
    endProgress();
  }
  throw new NotInForceError(`Version ${version} of ${model} was not in force when the service stopped telling.`);
};

/** What is known of a declaration that has not come in force, as the end of a sentence. */
const whyNot = (status: WatchStatusResponse | undefined, { model, version, hash }: Awaited): string => {
  if (status === undefined) return "the service has not told its status";
  if (status.declaration === undefined) return "the service watches no deployments file";
  if (status.declaration.hash !== hash) return "the service has not read the file: it may watch another one";
  const deployment = status.deployments.find((one) => one.model === model);
  const found = deployment?.versions.findLast((one) => one.version === version);
  return found === undefined ? `version ${version} is not in the status` : stateText(deployment, found);
};

const stateText = (deployment: DeploymentStatus | undefined, { version, state, message }: VersionStatus): string => {
  const why = message || deployment?.message || "";
  return `version ${version} is ${enumName(State, state).toLowerCase()}${why === "" ? "" : `: ${why.replace(/\.$/, "")}`}`;
};
