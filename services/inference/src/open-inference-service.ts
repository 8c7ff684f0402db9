import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { implement, type ServiceImplementation } from "@millrace/grpc";
import { modelConfig } from "./rpc/model-config.ts";
import { modelInfer } from "./rpc/model-infer.ts";
import { modelMetadata } from "./rpc/model-metadata.ts";
import { modelReady } from "./rpc/model-ready.ts";
import { modelStatistics } from "./rpc/model-statistics.ts";
import { modelStreamInfer } from "./rpc/model-stream-infer.ts";
import { repositoryIndex } from "./rpc/repository-index.ts";
import { repositoryModelLoad } from "./rpc/repository-model-load.ts";
import { repositoryModelUnload } from "./rpc/repository-model-unload.ts";
import { serverLive } from "./rpc/server-live.ts";
import { serverMetadata } from "./rpc/server-metadata.ts";
import { serverReady } from "./rpc/server-ready.ts";
import type { InferencePath } from "./serving/inference-path.ts";
import type { ModelFolder } from "./serving/model-folder.ts";
import type { ModelRoster } from "./serving/model-roster.ts";

export interface OpenInference {
  readonly roster: ModelRoster;
  readonly path: InferencePath;
  /** Where models are loaded from by call; undefined where none is served from a folder. */
  readonly folder: ModelFolder | undefined;
  readonly isReady: () => boolean;
  readonly version: string;
  /** Is given errors that are defects and were answered inside of a stream. */
  readonly onDefect: (error: unknown) => void;
}

/** The Open Inference Protocol with Triton's extensions. Shared memory, tracing and log settings are left out. */
export const openInferenceService = (parts: OpenInference): ServiceImplementation => {
  const { roster, path, folder, isReady, version, onDefect } = parts;
  return implement(GRPCInferenceService, {
    serverLive: serverLive(),
    serverReady: serverReady(isReady),
    modelReady: modelReady(roster),
    serverMetadata: serverMetadata(version),
    modelMetadata: modelMetadata(roster),
    modelInfer: modelInfer(path),
    modelStreamInfer: modelStreamInfer(path, onDefect),
    modelConfig: modelConfig(roster),
    modelStatistics: modelStatistics(roster),
    repositoryIndex: repositoryIndex(roster),
    repositoryModelLoad: repositoryModelLoad(folder),
    repositoryModelUnload: repositoryModelUnload(folder),
  });
};
