import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { Unary } from "@millrace/grpc";
import type { ModelRepository } from "../repository/model-repository.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import { checkRepositoryName } from "./repository-model-load.ts";

/**
 * Lists the models and the state of each version; those that are ready only, or of one source only, where asked so.
 * Models of the repository that were never loaded have a name alone, as in Triton.
 */
export const repositoryIndex =
  (
    roster: ModelRoster,
    repository: ModelRepository | undefined,
  ): Unary<typeof GRPCInferenceService.method.repositoryIndex> =>
  async ({ repositoryName, ready }) => {
    if (repositoryName !== "") checkRepositoryName(repository?.sources ?? [], repositoryName);
    const found = await repository?.found();
    const inSource = (name: string) => repositoryName === "" || found?.get(name)?.source === repositoryName;
    const known = roster.names();
    const loaded = known.flatMap((name) =>
      roster
        .records(name)
        .filter(({ state }) => state !== State.UNLOADED && (!ready || state === State.READY))
        .map(({ version, state, message }) => ({ name, version, state: words[state] ?? "UNKNOWN", reason: message })),
    );
    const others = ready ? [] : [...(found?.keys() ?? [])].filter((name) => !known.includes(name));
    const unloaded = others.flatMap((name) => {
      const versions = [...new Set(roster.records(name).map(({ version }) => version))];
      if (versions.length === 0) return { name };
      return versions.map((version) => ({ name, version, state: "UNAVAILABLE", reason: "unloaded" }));
    });
    return { models: [...loaded, ...unloaded].filter(({ name }) => inSource(name)) };
  };

/** Triton's words for the states. */
const words: Readonly<Record<number, string>> = {
  [State.LOADING]: "LOADING",
  [State.CHECKING]: "LOADING",
  [State.READY]: "READY",
  [State.DRAINING]: "UNLOADING",
  [State.FAILED]: "UNAVAILABLE",
};
