import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { Unary } from "@millrace/grpc";
import type { ModelRoster } from "../serving/model-roster.ts";

/** Lists the models and the state of each version; those that are ready only, where asked so. */
export const repositoryIndex =
  (roster: ModelRoster): Unary<typeof GRPCInferenceService.method.repositoryIndex> =>
  async ({ ready }) => ({
    models: roster.names().flatMap((name) =>
      roster
        .records(name)
        .filter(({ state }) => state !== State.UNLOADED && (!ready || state === State.READY))
        .map(({ version, state, message }) => ({ name, version, state: words[state] ?? "UNKNOWN", reason: message })),
    ),
  });

/** Triton's words for the states. */
const words: Readonly<Record<number, string>> = {
  [State.LOADING]: "LOADING",
  [State.CHECKING]: "LOADING",
  [State.READY]: "READY",
  [State.DRAINING]: "UNLOADING",
  [State.FAILED]: "UNAVAILABLE",
};
