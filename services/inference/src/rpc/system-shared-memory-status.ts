import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import { needMemory, type SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";

/** Lists the regions that are registered, or one of them. */
export const systemSharedMemoryStatus =
  (memory: SystemSharedMemory | undefined): Unary<typeof GRPCInferenceService.method.systemSharedMemoryStatus> =>
  async ({ name }) => ({
    regions: Object.fromEntries(
      needMemory(memory)
        .status(name)
        .map(({ name, key, offset, byteSize }) => [
          name,
          { name, key, offset: BigInt(offset), byteSize: BigInt(byteSize) },
        ]),
    ),
  });
