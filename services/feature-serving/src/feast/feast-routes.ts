import {
  BodyInvalidError,
  describe,
  isObject,
  type JsonObject,
  type JsonValue,
  parseObject,
  type RestAnswer,
  type RestRoute,
  type WritableJson,
  writeJson,
} from "@millrace/rest";
import type { FeatureServing } from "../feature-serving.ts";
import { onlineFeaturesJson, scalarOfJson } from "./feast-json.ts";
import { onlineFeatures } from "./online-features.ts";
import { pushJsonToSource, pushJsonToView } from "./push-json.ts";

/**
 * What Feast's Python server answers over HTTP, which its remote online store calls: the same answers as over gRPC.
 * `include_feature_view_version_metadata`, `allow_registry_cache` and `transform_on_write` change nothing here: definitions
 * are always those that are in force.
 */
export const feastRoutes = (serving: FeatureServing): readonly RestRoute[] => [
  {
    method: "POST",
    path: "get-online-features",
    answer: async ({ call, body }) => {
      const json = parseObject(await body());
      const columns = await onlineFeatures(
        serving,
        {
          featureService: optionalText(json, "feature_service"),
          features: texts("features", json.features ?? []),
          given: columnsOf("entities", json.entities ?? {}),
          scalarOf: scalarOfJson,
          fullFeatureNames: flag(json, "full_feature_names"),
        },
        call.signal,
      );
      return ok(onlineFeaturesJson(columns));
    },
  },
  {
    method: "POST",
    path: "push",
    answer: async ({ call, body }) => {
      const json = parseObject(await body());
      const source = text("push_source_name", json.push_source_name);
      const to = optionalText(json, "to") ?? "online";
      await pushJsonToSource(serving, { source, to, columns: columnsOf("df", json.df) }, call);
      return ok(null);
    },
  },
  {
    method: "POST",
    path: "write-to-online-store",
    answer: async ({ call, body }) => {
      const json = parseObject(await body());
      const view = text("feature_view_name", json.feature_view_name);
      await pushJsonToView(serving, { view, columns: columnsOf("df", json.df) }, call);
      return ok(null);
    },
  },
  { method: "GET", path: "health", open: true, answer: async () => ({ status: 200, type: "text/plain", body: "" }) },
];

/** An error as Feast's clients read it: they raise the class that it names, with the message. */
export const feastErrorBody = (message: string): WritableJson =>
  JSON.stringify({ module: "feast.errors", class: "FeastError", message });

const ok = (value: WritableJson): RestAnswer => ({ status: 200, type: "application/json", body: writeJson(value) });

const text = (field: string, value: JsonValue | undefined): string => {
  if (typeof value === "string") return value;
  throw new BodyInvalidError(field, "text", describe(value));
};

const optionalText = (json: JsonObject, field: string): string | undefined => {
  const value = json[field];
  return value === undefined || value === null ? undefined : text(field, value);
};

const texts = (field: string, value: JsonValue): readonly string[] => {
  if (!Array.isArray(value)) throw new BodyInvalidError(field, "an array of texts", describe(value));
  return value.map((each: JsonValue, index) => text(`${field}[${index}]`, each));
};

const flag = (json: JsonObject, field: string): boolean => {
  const value = json[field] ?? false;
  if (typeof value === "boolean") return value;
  throw new BodyInvalidError(field, "true or false", describe(value));
};

/** Columns by name, each an array of a value a row. */
const columnsOf = (field: string, value: JsonValue | undefined): Readonly<Record<string, readonly JsonValue[]>> => {
  if (!isObject(value)) throw new BodyInvalidError(field, "an object of columns", describe(value));
  return Object.fromEntries(
    Object.entries(value).map(([name, column]) => {
      if (!Array.isArray(column)) throw new BodyInvalidError(`${field}.${name}`, "an array", describe(column));
      return [name, column as readonly JsonValue[]];
    }),
  );
};
