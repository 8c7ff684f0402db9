import { create, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { FeatureServiceStatus } from "@millrace/contracts/millrace/feature/v1/feature_service";
import {
  type Calibration,
  type Evaluation,
  type FeatureBinding,
  FeatureBindingSchema,
  LineageSchema,
  Meaning,
  type ModelPackage,
  ModelPackageSchema,
  type Signature,
  Task,
} from "@millrace/contracts/millrace/model/v1/model_package";
import { type TrainingSpec, TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { describeModel, type NetworkInput, readModel } from "@millrace/onnx";
import { canonicalHash } from "../canonical-hash.ts";
import type { SplitDataset } from "../dataset/split-dataset.ts";
import type { TrainingTable } from "../dataset/training-table.ts";

/** All that a manifest says beside what the spec says. */
export interface ManifestParts {
  readonly spec: TrainingSpec;
  readonly table: TrainingTable;
  readonly split: SplitDataset;
  readonly inputs: readonly NetworkInput[];
  /** The feature service that gave the dataset; undefined for files alone. */
  readonly featureService: FeatureServiceStatus | undefined;
  readonly model: Uint8Array;
  readonly evaluation: Evaluation;
  readonly calibration: Calibration | undefined;
  readonly importance: ReadonlyMap<string, number>;
  /** The backend's label. */
  readonly trainer: string;
  readonly codeRevision: string;
  /** Those that a search chose. */
  readonly parameters: Readonly<Record<string, number>>;
}

/** Writes `millrace.json`. Nothing of times, hosts or run ids is in it: equal content has an equal digest. */
export const buildManifest = (parts: ManifestParts): ModelPackage => {
  const { spec, table, split, inputs } = parts;
  const { origin } = table;
  const base = create(ModelPackageSchema, {
    name: spec.name,
    description: spec.description,
    task: split.task,
    signature: signatureOf(parts.model, inputs, split.task),
    lineage: create(LineageSchema, {
      datasetSnapshotId: origin.snapshotId,
      definitionsHash: origin.definitionsHash,
      definitionsRevision: origin.definitionsRevision,
      specHash: specHash(spec),
      specName: spec.name,
      trainer: parts.trainer,
      seed: spec.seed,
      codeRevision: parts.codeRevision,
      trainingRows: BigInt(split.training.length),
      validationRows: BigInt(split.validation.length),
      testRows: BigInt(split.test.length),
      parameters: { ...parts.parameters },
      newestEvent: timestampFromMs(Number(origin.newestEventUs / 1000n)),
    }),
    evaluation: parts.evaluation,
  });
  const features = bindingOf(parts);
  if (features !== undefined) {
    base.features = features;
  }
  if (parts.calibration !== undefined) {
    base.calibration = parts.calibration;
  }
  return base;
};

/** Hash of a spec's content. */
export const specHash = (spec: TrainingSpec): string => canonicalHash(toJson(TrainingSpecSchema, spec));

const signatureOf = (model: Uint8Array, inputs: readonly NetworkInput[], task: Task): Signature => {
  const signature = describeModel(readModel(model));
  signature.inputs.forEach((spec, place) => {
    const preparation = inputs[place]?.preparation;
    const isCategory = preparation?.kind === "one-hot" || preparation?.kind === "embedding";
    spec.meaning = isCategory ? Meaning.CATEGORICAL : Meaning.NUMERIC;
    if (isCategory) {
      spec.categories = preparation.categories.map(String);
    }
  });
  // A program's model may have further outputs; what they mean is its own affair.
  for (const output of signature.outputs.slice(0, 1)) {
    output.meaning = task === Task.BINARY ? Meaning.PROBABILITY : Meaning.ESTIMATE;
    output.description =
      task === Task.BINARY ? "The probability that the label is true." : "The estimate of the label.";
  }
  return signature;
};

const bindingOf = ({ spec, table, inputs, featureService, importance }: ManifestParts): FeatureBinding | undefined => {
  if (featureService === undefined) {
    return undefined;
  }
  const served = new Map(featureService.features.map((field) => [field.name, field]));
  return create(FeatureBindingSchema, {
    featureService: spec.dataset?.featureService ?? "",
    featureServiceVersion: table.origin.featureServiceVersion,
    schemaHash: table.origin.schemaHash,
    inputs: inputs.map(({ name }) => {
      const field = served.get(name);
      return {
        feature: name,
        input: name,
        type: field?.type ?? ValueType.VALUE_TYPE_UNSPECIFIED,
        featureView: field?.featureView ?? "",
        source: field?.source ?? "",
        owner: field?.owner ?? "",
        ...(field?.min === undefined ? {} : { min: field.min }),
        ...(field?.max === undefined ? {} : { max: field.max }),
        importance: importance.get(name) ?? 0,
        neverNull: field?.neverNull ?? false,
      };
    }),
  });
};
