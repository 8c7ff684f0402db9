import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  FieldStatus,
  type GetOnlineFeaturesRequest,
  GetOnlineFeaturesResponse_FeatureVectorSchema,
} from "@millrace/contracts/feast/serving/ServingService";
import type { RepeatedValue, Value } from "@millrace/contracts/feast/types/Value";
import type { ColumnSchema } from "@millrace/contracts/millrace/feature/v1/column";
import { GetFeaturesRequestSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import { type CompiledField, ownValue, type Scalar, storedViewOf } from "@millrace/feature-definition";
import { EncodedMessage } from "@millrace/grpc";
import { ColumnInvalidError, packColumn } from "../column-values.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { featuresAnswer } from "../rpc/get-features.ts";
import { isCount } from "../served-fields.ts";
import { encodeOnlineFeatures, type FeastColumn } from "./encode-online-features.ts";
import { scalarOfFeast } from "./feast-values.ts";

/** Thrown where two features of an answer would have one name, as Feast does. */
export class FeatureNameCollisionError extends MillraceError {
  constructor(name: string, features: readonly string[]) {
    super(
      "INVALID_ARGUMENT",
      Reason.FIELD_INVALID,
      `${features.join(" and ")} would both be called ${name}: set full_feature_names.`,
      { violations: [{ field: "full_feature_names", expected: "true, since short names collide", got: "false" }] },
    );
  }
}

/** A feature by its view: `view:feature` in Feast's words. */
interface Reference {
  readonly view: string;
  readonly feature: string;
}

/**
 * Answers Feast's GetOnlineFeatures from the same store: entity columns first, then the features in the order in which
 * they were asked for.
 * @throws ColumnInvalidError, FeatureNameCollisionError, and what GetFeatures throws.
 */
export const onlineFeatures = async (
  serving: FeatureServing,
  request: GetOnlineFeaturesRequest,
  signal: AbortSignal,
): Promise<EncodedMessage> => {
  const selection = selectionOf(request);
  const plan =
    selection.case === "featureService"
      ? serving.catalogue.servicePlan(selection.value)
      : serving.catalogue.referencesPlan(selection.value.features);
  // Feast's own server takes columns for on-demand features among the entities too.
  const given = { ...request.requestContext, ...request.entities };
  const columnOf = (field: CompiledField, owner: string) => readColumn(given, field, owner);
  const entities = plan.entityKeys.map((field) => columnOf(field, "entities"));
  const context = plan.requestFields.map((field) => columnOf(field, "request_context"));
  const known = new Set([...plan.entityKeys, ...plan.requestFields].map(({ name }) => name));
  for (const name of Object.keys(given)) {
    if (!known.has(name)) throw new ColumnInvalidError(`entities.${name}`, `one of ${[...known].join(", ")}`, name);
  }
  const answer = await featuresAnswer(
    serving,
    create(GetFeaturesRequestSchema, { selection, entities, request: context, withEventTimes: true }),
    signal,
  );
  const references = plan.outputs.map(({ name }) => referenceOf(name, serving));
  const names = namesOf(references, request.fullFeatureNames);
  const rows = Object.values(given)[0]?.val.length ?? 0;
  const entityNames = [...known].filter((name) => ownValue(given, name) !== undefined);
  const columns: FeastColumn[] = [
    ...entityNames.map((name) => ({
      kind: "sent" as const,
      vector: sentVector(ownValue(given, name)?.val ?? [], rows),
    })),
    ...answer.features.map(({ column }, index) => ({
      kind: "feature" as const,
      column,
      isNeverNull: isNeverNull(references[index], serving),
    })),
  ];
  return new EncodedMessage(encodeOnlineFeatures([...entityNames, ...names], columns));
};

const selectionOf = ({ kind }: GetOnlineFeaturesRequest) => {
  if (kind.case === "featureService") return { case: "featureService" as const, value: kind.value };
  if (kind.case === undefined || kind.value.val.length === 0) {
    throw new ColumnInvalidError("features", "a feature service, or references as view:feature", "neither");
  }
  const features = kind.value.val.map((reference, index) => {
    const parts = reference.split(":");
    if (parts.length !== 2) throw new ColumnInvalidError(`features[${index}]`, "view:feature", reference);
    return parts.join(".");
  });
  return { case: "references" as const, value: { features } };
};

/** One of our columns of a Feast request. */
const readColumn = (
  given: Readonly<Record<string, RepeatedValue>>,
  field: CompiledField,
  owner: string,
): MessageInitShape<typeof ColumnSchema> => {
  const column = ownValue(given, field.name);
  if (column === undefined) {
    const names = Object.keys(given).join(", ") || "no column";
    throw new ColumnInvalidError(`${owner}.${field.name}`, "a column of this name", names);
  }
  const values: Scalar[] = column.val.map((value, row) =>
    scalarOfFeast(value, field, `${owner}.${field.name}[${row}]`),
  );
  const nulls = values.includes(null) ? Uint8Array.from(values, (value) => (value === null ? 1 : 0)) : new Uint8Array();
  return { name: field.name, values: packColumn(values, field.type), nulls };
};

/** The view and the feature of `view__feature`: a view's name may have two underscores as well. */
const referenceOf = (fullName: string, { catalogue }: FeatureServing): Reference => {
  const { views, joinedViews, onDemandViews } = catalogue.definitions().repository;
  for (let at = fullName.indexOf("__"); at >= 0; at = fullName.indexOf("__", at + 1)) {
    const view = fullName.slice(0, at);
    if (views.has(view) || joinedViews.has(view) || onDemandViews.has(view))
      return { view, feature: fullName.slice(at + 2) };
  }
  const [view = "", ...rest] = fullName.split("__");
  return { view, feature: rest.join("__") };
};

const namesOf = (features: readonly Reference[], full: boolean): string[] => {
  if (full) return features.map(({ view, feature }) => `${view}__${feature}`);
  const seen = new Map<string, string>();
  return features.map(({ view, feature }) => {
    const other = seen.get(feature);
    if (other !== undefined) throw new FeatureNameCollisionError(feature, [other, `${view}:${feature}`]);
    seen.set(feature, `${view}:${feature}`);
    return feature;
  });
};

const sentVector = (values: readonly Value[], rows: number) =>
  create(GetOnlineFeaturesResponse_FeatureVectorSchema, {
    values: [...values],
    statuses: Array.from({ length: rows }, () => FieldStatus.PRESENT),
    eventTimestamps: Array.from({ length: rows }, () => ({})),
  });

const isNeverNull = (reference: Reference | undefined, { catalogue }: FeatureServing): boolean => {
  const view = storedViewOf(catalogue.definitions().repository, reference?.view ?? "");
  return view !== undefined && reference !== undefined && isCount(view, reference.feature);
};
