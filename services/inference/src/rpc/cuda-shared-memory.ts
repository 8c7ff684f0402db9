import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Handlers } from "@millrace/grpc";

type CudaCalls = Pick<
  Handlers<typeof GRPCInferenceService>,
  "cudaSharedMemoryStatus" | "cudaSharedMemoryRegister" | "cudaSharedMemoryUnregister"
>;

const refuse = async (): Promise<never> => {
  throw new MillraceError(
    "UNIMPLEMENTED",
    Reason.UNIMPLEMENTED,
    "CUDA shared memory is not served: tensors come in the message, or in system shared memory.",
  );
};

/** The calls for CUDA shared memory, each refused by name. */
export const cudaSharedMemory = {
  cudaSharedMemoryStatus: refuse,
  cudaSharedMemoryRegister: refuse,
  cudaSharedMemoryUnregister: refuse,
} satisfies CudaCalls;
