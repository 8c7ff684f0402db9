import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { FeatureService, FeatureServiceStatus } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { TrainingSpec } from "@millrace/contracts/millrace/training/v1/training_spec";
import type { FieldViolation } from "@millrace/errors";
import { valueTypeName } from "@millrace/feature-definition";
import type { DataLocation } from "@millrace/feature-definition/duckdb";
import { type Client, RpcError } from "@millrace/grpc";
import { isLearnable } from "../dataset/column-collector.ts";
import { openExamplesFiles } from "../dataset/examples-files.ts";
import { examplesQuery } from "../dataset/examples-query.ts";

/** A column that the model will read. */
interface KnownFeature {
  readonly name: string;
  readonly type: ValueType;
}

/**
 * Checks a spec against what there is: the applied feature service, or the files of the examples. Unknown features,
 * columns and expressions are answered as violations, before any work.
 *
 * @throws RpcError where feature-serving cannot answer for another reason; what `openExamplesFiles` throws.
 */
export const checkFeatures = async (
  spec: TrainingSpec,
  features: Client<typeof FeatureService> | undefined,
  location: DataLocation,
  signal: AbortSignal,
): Promise<FieldViolation[]> => {
  const { dataset } = spec;
  if (dataset === undefined) {
    return [];
  }
  if (dataset.featureService === "") {
    const files = await openExamplesFiles(dataset.examples?.data ?? { case: undefined }, location, "none");
    try {
      const { violations } = examplesQuery(dataset, files.columns, files.others);
      const known = files.columns.filter(({ name }) => dataset.columns.includes(name));
      return [...violations.map(inSpec), ...checkPreparation(spec, known)];
    } finally {
      files.close();
    }
  }
  if (features === undefined) {
    const got = "a service without featureServingAddress";
    return [{ field: "spec.dataset.feature_service", expected: "a service that knows feature-serving", got }];
  }
  const status = await serviceOrNothing(features, dataset.featureService, signal);
  if (status === undefined) {
    return [
      { field: "spec.dataset.feature_service", expected: "an applied feature service", got: dataset.featureService },
    ];
  }
  return [...checkService(status), ...checkNames(spec, status), ...checkPreparation(spec, status.features)];
};

const inSpec = ({ field, expected, got }: FieldViolation): FieldViolation => ({
  field: `spec.${field}`,
  expected,
  got,
});

const serviceOrNothing = async (
  features: Client<typeof FeatureService>,
  name: string,
  signal: AbortSignal,
): Promise<FeatureServiceStatus | undefined> => {
  try {
    return (await features.getFeatureService({ name }, { signal })).featureService;
  } catch (error) {
    if (error instanceof RpcError && error.code === "NOT_FOUND") {
      return undefined;
    }
    throw error;
  }
};

const checkService = (status: FeatureServiceStatus): FieldViolation[] =>
  status.features
    .filter(({ type }) => !isLearnable(type))
    .map(({ name, type }) => ({
      field: "spec.dataset.feature_service",
      expected: "features that are booleans, numbers or strings",
      got: `${name}: ${valueTypeName(type)}`,
    }));

const checkNames = ({ dataset }: TrainingSpec, status: FeatureServiceStatus): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  const check = (given: string[], wanted: string[], field: string): void => {
    for (const name of given) {
      if (!wanted.includes(name)) {
        const expected = wanted.length === 0 ? `none: ${status.name} needs none` : `one of ${wanted.join(", ")}`;
        violations.push({ field: `spec.dataset.examples.${field}[${name}]`, expected, got: name });
      }
    }
  };
  check(
    Object.keys(dataset?.examples?.entities ?? {}),
    status.entityKeys.map(({ name }) => name),
    "entities",
  );
  check(
    Object.keys(dataset?.examples?.request ?? {}),
    status.requestFields.map(({ name }) => name),
    "request",
  );
  return violations;
};

const checkPreparation = ({ trainer }: TrainingSpec, features: readonly KnownFeature[]): FieldViolation[] => {
  const violations: FieldViolation[] = [];
  const preparations = trainer?.trainer.case === "tfjs" ? trainer.trainer.value.preparation : [];
  preparations.forEach(({ feature, preparation }, place) => {
    const field = `spec.trainer.tfjs.preparation[${place}]`;
    const known = features.find(({ name }) => name === feature);
    if (known === undefined) {
      violations.push({
        field: `${field}.feature`,
        expected: `one of ${features.map(({ name }) => name).join(", ")}`,
        got: feature,
      });
    } else if (
      known.type === ValueType.STRING &&
      (preparation.case === "standardize" || preparation.case === "cyclic")
    ) {
      violations.push({ field, expected: `one_hot or embedding for the text ${feature}`, got: preparation.case });
    }
  });
  return violations;
};
