import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { implement, type ServiceImplementation } from "@millrace/grpc";
import type { ModelRepository } from "./repository/model-repository.ts";
import { cudaSharedMemory } from "./rpc/cuda-shared-memory.ts";
import { type LevelledLog, logSettings } from "./rpc/log-settings.ts";
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
import { systemSharedMemoryRegister } from "./rpc/system-shared-memory-register.ts";
import { systemSharedMemoryStatus } from "./rpc/system-shared-memory-status.ts";
import { systemSharedMemoryUnregister } from "./rpc/system-shared-memory-unregister.ts";
import { type Tracing, traceSetting } from "./rpc/trace-setting.ts";
import type { InferencePath } from "./serving/inference-path.ts";
import type { ModelRoster } from "./serving/model-roster.ts";
import type { SystemSharedMemory } from "./shared-memory/system-shared-memory.ts";

export interface OpenInference {
  readonly roster: ModelRoster;
  readonly path: InferencePath;
  /** Where models are loaded from by call; undefined where none is served from a folder. */
  readonly repository: ModelRepository | undefined;
  /** Undefined where shared memory is off. */
  readonly memory: SystemSharedMemory | undefined;
  readonly log: LevelledLog;
  readonly tracing: Tracing;
  readonly isReady: () => boolean;
  readonly version: string;
  /** Is given errors that are defects and were answered inside of a stream. */
  readonly onDefect: (error: unknown) => void;
}

/** The Open Inference Protocol with Triton's extensions, over gRPC. */
export const openInferenceService = (calls: OpenInferenceCalls, parts: OpenInference): ServiceImplementation =>
  implement(GRPCInferenceService, {
    ...calls,
    modelInfer: modelInfer(parts),
    modelStreamInfer: modelStreamInfer(parts, parts.onDefect),
  });

/** The calls without tensors, as every form of the protocol answers them. */
export const openInferenceCalls = (parts: OpenInference) => {
  const { roster, repository, memory, isReady, version } = parts;
  return {
    serverLive: serverLive(),
    serverReady: serverReady(isReady),
    modelReady: modelReady(roster),
    serverMetadata: serverMetadata(version, memory !== undefined),
    modelMetadata: modelMetadata(roster),
    modelConfig: modelConfig(roster),
    modelStatistics: modelStatistics(roster),
    repositoryIndex: repositoryIndex(roster, repository),
    repositoryModelLoad: repositoryModelLoad(repository),
    repositoryModelUnload: repositoryModelUnload(repository),
    systemSharedMemoryStatus: systemSharedMemoryStatus(memory),
    systemSharedMemoryRegister: systemSharedMemoryRegister(memory),
    systemSharedMemoryUnregister: systemSharedMemoryUnregister(memory),
    ...cudaSharedMemory,
    traceSetting: traceSetting(roster, parts.tracing),
    logSettings: logSettings(parts.log),
  };
};

export type OpenInferenceCalls = ReturnType<typeof openInferenceCalls>;
