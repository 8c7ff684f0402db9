import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ColumnSchema } from "@millrace/contracts/millrace/feature/v1/column";
import { GetFeaturesRequestSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import { type CompiledField, ownValue, type Scalar, storedViewOf } from "@millrace/feature-definition";
import { ColumnInvalidError, packColumn } from "../column-values.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { featuresAnswer } from "../rpc/get-features.ts";
import { isCount } from "../served-fields.ts";
import type { AnsweredFeature } from "./answered-feature.ts";

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

/** What a caller asks for, in either form: values are Feast's messages, or JSON. */
export interface OnlineQuestion<V> {
  readonly featureService: string | undefined;
  /** `view:feature` each. */
  readonly features: readonly string[];
  /** Columns of entities and of what on-demand views take, by name. */
  readonly given: Readonly<Record<string, readonly V[]>>;
  /** A value in the form of a field's type. @throws ColumnInvalidError */
  readonly scalarOf: (value: V, field: CompiledField, path: string) => Scalar;
  readonly fullFeatureNames: boolean;
}

/** A column of an answer: one that the caller sent, or a feature. */
export type OnlineColumn<V> =
  | { readonly kind: "sent"; readonly name: string; readonly values: readonly V[] }
  | ({ readonly kind: "feature"; readonly name: string } & AnsweredFeature);

/**
 * Answers Feast's GetOnlineFeatures from the same store: entity columns first, then the features in the order in which
 * they were asked for.
 * @throws ColumnInvalidError, FeatureNameCollisionError, and what GetFeatures throws.
 */
export const onlineFeatures = async <V>(
  serving: FeatureServing,
  question: OnlineQuestion<V>,
  signal: AbortSignal,
): Promise<readonly OnlineColumn<V>[]> => {
  const { given } = question;
  const selection = selectionOf(question);
  const plan =
    selection.case === "featureService"
      ? serving.catalogue.servicePlan(selection.value)
      : serving.catalogue.referencesPlan(selection.value.features);
  // Feast's own server takes columns for on-demand features among the entities too.
  const entities = plan.entityKeys.map((field) => readColumn(question, field, "entities"));
  const context = plan.requestFields.map((field) => readColumn(question, field, "request_context"));
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
  const names = namesOf(references, question.fullFeatureNames);
  return [
    ...[...known].flatMap((name) => {
      const values = ownValue(given, name);
      return values === undefined ? [] : [{ kind: "sent" as const, name, values }];
    }),
    ...answer.features.map(({ column }, index) => ({
      kind: "feature" as const,
      name: names[index] ?? "",
      column,
      isNeverNull: isNeverNull(references[index], serving),
    })),
  ];
};

const selectionOf = ({ featureService, features }: Pick<OnlineQuestion<never>, "featureService" | "features">) => {
  if (featureService !== undefined) return { case: "featureService" as const, value: featureService };
  if (features.length === 0) {
    throw new ColumnInvalidError("features", "a feature service, or references as view:feature", "neither");
  }
  const references = features.map((reference, index) => {
    const parts = reference.split(":");
    if (parts.length !== 2) throw new ColumnInvalidError(`features[${index}]`, "view:feature", reference);
    return parts.join(".");
  });
  return { case: "references" as const, value: { features: references } };
};

/** One of our columns, of what a caller gave. */
const readColumn = <V>(
  { given, scalarOf }: OnlineQuestion<V>,
  field: CompiledField,
  owner: string,
): MessageInitShape<typeof ColumnSchema> => {
  const column = ownValue(given, field.name);
  if (column === undefined) {
    const names = Object.keys(given).join(", ") || "no column";
    throw new ColumnInvalidError(`${owner}.${field.name}`, "a column of this name", names);
  }
  const values = column.map((value, row) => scalarOf(value, field, `${owner}.${field.name}[${row}]`));
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

const isNeverNull = (reference: Reference | undefined, { catalogue }: FeatureServing): boolean => {
  const view = storedViewOf(catalogue.definitions().repository, reference?.view ?? "");
  return view !== undefined && reference !== undefined && isCount(view, reference.feature);
};
