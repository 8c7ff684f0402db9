import type { ModelControlMode } from "./model-control-mode.ts";

export interface RepositoryOptions {
  /** Folders: see `findModels`. */
  readonly sources: readonly string[];
  readonly mode: ModelControlMode;
  /** What is loaded at the start in the mode `explicit`; `*` is everything. */
  readonly loadModels: readonly string[];
  /** How often the sources are looked at in the mode `poll`, in ms. */
  readonly pollMs: number;
}

/** The options as the service's settings name them. */
export const repositoryOptions = (config: {
  readonly models?: string | undefined;
  readonly modelControlMode: ModelControlMode;
  readonly loadModel?: string | undefined;
  readonly repositoryPollMs: number;
}): RepositoryOptions => ({
  sources: listOf(config.models),
  mode: config.modelControlMode,
  loadModels: listOf(config.loadModel),
  pollMs: config.repositoryPollMs,
});

const listOf = (text: string | undefined): string[] =>
  (text ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
