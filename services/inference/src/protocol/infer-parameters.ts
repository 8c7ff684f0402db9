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
 * The request parameters that the protocol gives a meaning, with the types that they may have. Sequences are off for
 * every model here, and where they are off the protocol has these parameters ignored.
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

/** What a request's parameters ask of the queue. */
export interface QueueParameters {
  /** 1 is the highest level; undefined for the model's default. */
  readonly priority: number | undefined;
  /** Longest time in the queue, in ms, where the model lets requests say so. */
  readonly queueTimeoutMs: number | undefined;
}

/**
 * Checks the parameters of a request, of its inputs and of its outputs, and reads those that are for the queue.
 * @throws ParameterInvalidError
 */
export const readParameters = (request: ModelInferRequest): QueueParameters => {
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
  const timeoutUs = whole(request, "timeout", "microseconds, 0 or more");
  return {
    priority: whole(request, "priority", "a level, 0 or more"),
    queueTimeoutMs: timeoutUs === undefined ? undefined : timeoutUs / 1000,
  };
};

/** A number of 0 or more; undefined where it is 0 or absent, which both mean the default. */
const whole = (request: ModelInferRequest, name: string, expected: string): number | undefined => {
  const choice = request.parameters[name]?.parameterChoice;
  if (choice?.case !== "int64Param" && choice?.case !== "uint64Param") return undefined;
  if (choice.value < 0n) throw new ParameterInvalidError(`parameters.${name}`, expected, `${choice.value}`);
  return choice.value === 0n ? undefined : Number(choice.value);
};

const word = (type: Case): string => type?.replace("Param", "_param") ?? "no value";
