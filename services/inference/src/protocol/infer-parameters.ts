import type { InferParameter, ModelInferRequest } from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a parameter of a request is of the wrong type, or asks for what this service does not do. */
export class ParameterInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}

type Case = InferParameter["parameterChoice"]["case"];

/**
 * The request parameters that the protocol gives a meaning, with the types that they may have. Sequences and priority
 * levels are off for every model here, and where they are off the protocol has these parameters ignored.
 */
const known: Readonly<Record<string, readonly Case[]>> = {
  sequence_id: ["int64Param", "stringParam"],
  sequence_start: ["boolParam"],
  sequence_end: ["boolParam"],
  priority: ["int64Param", "uint64Param"],
  timeout: ["int64Param", "uint64Param"],
  triton_enable_empty_final_response: ["boolParam"],
};

/** Parameters that move tensors elsewhere or change what an output is: ignoring them would answer something else. */
const refused = new Set(["classification", "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"]);

/**
 * Checks the parameters of a request, of its inputs and of its outputs.
 * @returns the time after which the request is to be dropped from the queue, in µs, where it names one.
 * @throws ParameterInvalidError
 */
export const checkParameters = (request: ModelInferRequest): number | undefined => {
  for (const [name, { parameterChoice }] of Object.entries(request.parameters)) {
    const types = known[name];
    const field = `parameters.${name}`;
    if (types !== undefined && !types.includes(parameterChoice.case)) {
      throw new ParameterInvalidError(field, types.map(word).join(" or "), word(parameterChoice.case));
    }
    if (types === undefined && name.startsWith("triton_")) {
      throw new ParameterInvalidError(
        field,
        "a parameter that is known; the prefix triton_ is reserved",
        "an unknown one",
      );
    }
  }
  for (const tensor of [...request.inputs, ...request.outputs]) {
    for (const name of Object.keys(tensor.parameters)) {
      if (refused.has(name)) {
        throw new ParameterInvalidError(
          `${tensor.name}.parameters.${name}`,
          "a parameter that is served",
          "one that is not",
        );
      }
    }
  }
  const timeout = request.parameters.timeout?.parameterChoice;
  if (timeout?.case !== "int64Param" && timeout?.case !== "uint64Param") return undefined;
  if (timeout.value < 0n)
    throw new ParameterInvalidError("parameters.timeout", "microseconds, 0 or more", `${timeout.value}`);
  return timeout.value === 0n ? undefined : Number(timeout.value);
};

const word = (type: Case): string => type?.replace("Param", "_param") ?? "no value";
