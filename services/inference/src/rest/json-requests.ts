import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  LogSettingsRequest,
  LogSettingsResponse,
  ModelRepositoryParameterSchema,
  TraceSettingResponse,
} from "@millrace/contracts/inference/grpc_service";
import {
  BodyInvalidError,
  describe,
  isObject,
  type JsonObject,
  type JsonValue,
  type WritableJson,
} from "@millrace/rest";

/** The parameters of load and unload: those of files are bytes, which JSON has in base64. @throws BodyInvalidError */
export const repositoryParametersOf = (
  value: JsonValue | undefined,
): Record<string, MessageInitShape<typeof ModelRepositoryParameterSchema>> => {
  if (value === undefined) return {};
  if (!isObject(value)) throw new BodyInvalidError("parameters", "an object", describe(value));
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, { parameterChoice: repositoryParameter(name, each) }]),
  );
};

const repositoryParameter = (name: string, value: JsonValue) => {
  const field = `parameters.${name}`;
  if (typeof value === "boolean") return { case: "boolParam" as const, value };
  if (Number.isSafeInteger(value)) return { case: "int64Param" as const, value: BigInt(value as number) };
  if (typeof value !== "string")
    throw new BodyInvalidError(field, "text, a whole number or a boolean", describe(value));
  if (!name.startsWith("file:")) return { case: "stringParam" as const, value };
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value)) throw new BodyInvalidError(field, "bytes in base64", describe(value));
  return { case: "bytesParam" as const, value: Buffer.from(value, "base64") };
};

/** Trace settings to change: each one text, several, or null to clear it. @throws BodyInvalidError */
export const traceSettingsOf = (json: JsonObject): Record<string, { value: string[] }> =>
  Object.fromEntries(
    Object.entries(json).map(([name, value]) => {
      const values: readonly JsonValue[] = value === null ? [] : Array.isArray(value) ? value : [value];
      return [
        name,
        {
          value: values.map((each) => {
            if (typeof each !== "string" && typeof each !== "number") {
              throw new BodyInvalidError(name, "text", describe(each));
            }
            return String(each);
          }),
        },
      ];
    }),
  );

type LogValue = NonNullable<LogSettingsRequest["settings"][string]>["parameterChoice"];

/** Log settings to change. @throws BodyInvalidError */
export const logSettingsOf = (json: JsonObject): Record<string, { parameterChoice: LogValue }> =>
  Object.fromEntries(
    Object.entries(json).map(([name, value]): [string, { parameterChoice: LogValue }] => {
      if (typeof value === "boolean") return [name, { parameterChoice: { case: "boolParam", value } }];
      if (typeof value === "string") return [name, { parameterChoice: { case: "stringParam", value } }];
      if (typeof value === "number" && value >= 0 && value < 2 ** 32 && Number.isInteger(value)) {
        return [name, { parameterChoice: { case: "uint32Param", value } }];
      }
      throw new BodyInvalidError(name, "a boolean, a whole number or text", describe(value));
    }),
  );

/** Settings as Triton's REST form has them: trace levels are always a list, and other values stand for themselves. */
export const settingsJson = (
  settings: TraceSettingResponse["settings"] | LogSettingsResponse["settings"],
): WritableJson => {
  const object: Record<string, WritableJson> = {};
  for (const [name, setting] of Object.entries(settings)) {
    if ("value" in setting) object[name] = name === "trace_level" ? setting.value : setting.value.join(",");
    else object[name] = setting.parameterChoice.value;
  }
  return object;
};

/** A whole number of 0 or more. @throws BodyInvalidError */
export const wholeOf = (field: string, value: JsonValue | undefined): bigint => {
  const whole = typeof value === "bigint" ? value : Number.isSafeInteger(value) ? BigInt(value as number) : -1n;
  if (whole < 0n || BigInt.asUintN(64, whole) !== whole) {
    throw new BodyInvalidError(field, "a whole number, 0 or more", describe(value));
  }
  return whole;
};
