import type { InferParameter } from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a parameter of a request is of the wrong type, or asks for what this service does not do. */
export class ParameterInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}

/** The value of a parameter, as the contract has it for every protocol. */
export type ParameterValue = InferParameter["parameterChoice"];
type Case = ParameterValue["case"];

/** Parameters by name. */
export type Parameters = Readonly<Record<string, { readonly parameterChoice: ParameterValue }>>;

/** An input or a requested output, and its parameters. */
export interface Parametrized {
  readonly name: string;
  readonly parameters: Parameters;
}

/** What a request has parameters at. */
export interface ParametrizedRequest {
  readonly parameters: Parameters;
  readonly outputs: readonly Parametrized[];
}

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
  traceparent: ["stringParam"],
};

/** Where a tensor lies in a registered region of shared memory. */
export interface RegionPlace {
  readonly region: string;
  /** In bytes. */
  readonly offset: number;
  readonly byteSize: number;
}

/** An output that a request asks for. */
export interface RequestedOutput {
  readonly name: string;
  /** How many classes to name in place of the values; undefined for the values. */
  readonly classes: number | undefined;
  /** Where to write it; undefined for the response. */
  readonly place: RegionPlace | undefined;
}

/** What the parameters of a request ask for. */
export interface ReadParameters {
  /** 1 is the highest level; undefined for the model's default. */
  readonly priority: number | undefined;
  /** Longest time in the queue, in ms, where the model lets requests say so. */
  readonly queueTimeoutMs: number | undefined;
  /** The W3C trace that the request belongs to, where it names its own: a stream has one header for all of them. */
  readonly traceparent: string | undefined;
  readonly outputs: readonly RequestedOutput[];
}

/**
 * Checks the parameters of a request and of its outputs, and reads them. Those of its inputs are read with the tensors.
 * @throws ParameterInvalidError
 */
export const readParameters = ({ parameters, outputs }: ParametrizedRequest): ReadParameters => {
  for (const name in parameters) {
    const type = parameters[name]?.parameterChoice.case;
    const types = Object.hasOwn(known, name) ? known[name] : undefined;
    const field = `parameters.${name}`;
    if (types !== undefined && !types.includes(type)) {
      throw new ParameterInvalidError(field, types.map(word).join(" or "), word(type));
    }
    if (types === undefined && name.startsWith("triton_")) {
      throw new ParameterInvalidError(
        field,
        "a parameter that is known; the prefix triton_ is reserved",
        "an unknown one",
      );
    }
  }
  const timeoutUs = whole(parameters, "", "timeout", "microseconds, 0 or more");
  const priority = whole(parameters, "", "priority", "a level, 0 or more");
  const traceparent = parameters.traceparent?.parameterChoice;
  return {
    // Both have 0 for the default.
    priority: priority === 0 ? undefined : priority,
    queueTimeoutMs: timeoutUs === undefined || timeoutUs === 0 ? undefined : timeoutUs / 1000,
    traceparent: traceparent?.case === "stringParam" ? traceparent.value : undefined,
    outputs: outputs.map(requestedOutput),
  };
};

const requestedOutput = (output: Parametrized): RequestedOutput => {
  const { name, parameters } = output;
  const place = regionPlace(output);
  const classes = whole(parameters, `${name}.`, "classification", "a number of classes, 1 or more");
  if (classes === 0) {
    throw new ParameterInvalidError(`${name}.parameters.classification`, "a number of classes, 1 or more", "0");
  }
  if (classes !== undefined && place !== undefined) {
    throw new ParameterInvalidError(
      `${name}.parameters.classification`,
      "values where the output goes to shared memory",
      "both",
    );
  }
  return { name, classes, place };
};

/**
 * Where an input or an output lies in shared memory; undefined where it travels in the message.
 * @throws ParameterInvalidError where a parameter of it is of the wrong type or missing.
 */
export const regionPlace = ({ name, parameters }: Parametrized): RegionPlace | undefined => {
  const region = parameters.shared_memory_region?.parameterChoice;
  if (region === undefined) {
    for (const alone of ["shared_memory_byte_size", "shared_memory_offset"]) {
      if (parameters[alone] !== undefined) {
        throw new ParameterInvalidError(`${name}.parameters.${alone}`, "shared_memory_region beside it", "none");
      }
    }
    return undefined;
  }
  const field = `${name}.parameters.shared_memory_region`;
  if (region.case !== "stringParam") throw new ParameterInvalidError(field, "string_param", word(region.case));
  const byteSize = whole(parameters, `${name}.`, "shared_memory_byte_size", "bytes, 0 or more");
  if (byteSize === undefined) {
    throw new ParameterInvalidError(`${name}.parameters.shared_memory_byte_size`, "bytes, 0 or more", "none");
  }
  const offset = whole(parameters, `${name}.`, "shared_memory_offset", "bytes, 0 or more") ?? 0;
  return { region: region.value, offset, byteSize };
};

/** What the tensors that lie in shared memory add to a request, in bytes. @throws ParameterInvalidError */
export const regionBytes = (inputs: readonly Parametrized[]): number =>
  inputs.reduce((bytes, input) => bytes + (regionPlace(input)?.byteSize ?? 0), 0);

/** Whether the protocol gives a parameter of a request a meaning, or keeps its name for one. */
export const isProtocolParameter = (name: string): boolean => Object.hasOwn(known, name) || name.startsWith("triton_");

/** A number of 0 or more; undefined where it is absent. */
const whole = (parameters: Parameters, owner: string, name: string, expected: string): number | undefined => {
  const choice = parameters[name]?.parameterChoice;
  if (choice === undefined) return undefined;
  const field = `${owner}parameters.${name}`;
  if (choice.case !== "int64Param" && choice.case !== "uint64Param") {
    throw new ParameterInvalidError(field, "int64_param or uint64_param", word(choice.case));
  }
  if (choice.value < 0n || choice.value > Number.MAX_SAFE_INTEGER) {
    throw new ParameterInvalidError(field, expected, `${choice.value}`);
  }
  return Number(choice.value);
};

const word = (type: Case): string => type?.replace("Param", "_param") ?? "no value";
