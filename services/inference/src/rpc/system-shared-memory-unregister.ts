import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import { needMemory, type SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";

/** Forgets a region, or all of them where none is named. */
export const systemSharedMemoryUnregister =
  (memory: SystemSharedMemory | undefined): Unary<typeof GRPCInferenceService.method.systemSharedMemoryUnregister> =>
  async ({ name }) => {
    needMemory(memory).unregister(name);
    return {};
  };
