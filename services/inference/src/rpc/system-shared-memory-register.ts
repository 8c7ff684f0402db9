import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import { ParameterInvalidError } from "../protocol/infer-parameters.ts";
import { needMemory, type SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";

/** Registers a region of a shared memory object, so that requests can name it. */
export const systemSharedMemoryRegister =
  (memory: SystemSharedMemory | undefined): Unary<typeof GRPCInferenceService.method.systemSharedMemoryRegister> =>
  async ({ name, key, offset, byteSize }) => {
    needMemory(memory).register({ name, key, offset: safe("offset", offset), byteSize: safe("byte_size", byteSize) });
    return {};
  };

const safe = (field: string, bytes: bigint): number => {
  if (bytes > Number.MAX_SAFE_INTEGER) throw new ParameterInvalidError(field, "bytes that memory can have", `${bytes}`);
  return Number(bytes);
};
