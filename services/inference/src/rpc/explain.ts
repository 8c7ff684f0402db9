import type {
  ExplainRequest,
  PredictionService,
  TensorRows,
} from "@millrace/contracts/millrace/inference/v1/prediction_service";
import type { Unary } from "@millrace/grpc";
import { type ModelStore, openModelStore } from "@millrace/model-package";
import { isDatatype, type Tensor, TensorInvalidError } from "@millrace/tensor";
import { LRUCache } from "lru-cache";
import { ExplainRequestInvalidError, NoBackgroundError } from "../explanation/explain-errors.ts";
import { explainRows, explanationRandom, type RowExplanation } from "../explanation/explain-rows.ts";
import type { ExplainedOutput } from "../explanation/explained-model.ts";
import {
  drawBackground,
  type PackageBackground,
  packageBackground,
  sampleRows,
} from "../explanation/package-background.ts";
import { RowTable, rowTable, type Unit } from "../explanation/row-table.ts";
import { type FeatureDeadline, type FeatureReading, readFeatures } from "../prediction/read-features.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import type { Servable } from "../serving/servable.ts";

export interface Explaining extends FeatureReading {
  readonly roster: ModelRoster;
  readonly store: ModelStore;
  /** Most rows that one call may run the model on. */
  readonly maxEvaluations: number;
  /** Is told what each call ran. */
  readonly onExplained?: (model: string, evaluations: number) => void;
}

const defaultPermutations = 16;
const defaultBackgroundRows = 32;

/** Says what each input contributed to an answer, for rows of tensors or of entities. */
export const explain = (parts: Explaining): Unary<typeof PredictionService.method.explain> => {
  const backgrounds = new LRUCache<string, PackageBackground>({ max: 16 });
  return async (request, call) => {
    // Without the caller's keys: the version with most of the traffic, and of a pipeline's models likewise.
    const served = parts.roster.find(request.model, request.modelVersion);
    const release = served.lease();
    try {
      const explained = explainedOutput(request, served);
      const random = explanationRandom(request.seed || 1n);
      const table = await subjectRows(parts, request, served, call);
      const background =
        request.background === undefined
          ? await fromPackage(parts, backgrounds, request, served, random, call.signal)
          : givenBackground(request, request.background, served, table, random);
      const { maxEvaluations } = parts;
      const permutations = request.permutations || defaultPermutations;
      const { units, rows, evaluations } = await explainRows(
        { served, explained, table, background, permutations, random, maxEvaluations },
        { deadlineMs: call.deadlineMs, signal: call.signal },
      );
      parts.onExplained?.(served.name, evaluations);
      const names = unitNames(units, table, served);
      return {
        rows: rows.map((row) => explanation(row, names)),
        modelVersion: served.version,
        packageDigest: served.origin.digest,
        evaluations: BigInt(evaluations),
      };
    } finally {
      release();
    }
  };
};

const explanation = ({ base, output, contributions, standardErrors }: RowExplanation, names: readonly string[]) => ({
  base,
  output,
  contributions: names
    .map((name, unit) => ({ name, value: contributions[unit] ?? 0, standardError: standardErrors[unit] ?? 0 }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value)),
});

/** @throws ExplainRequestInvalidError where the model has no such output, or it is of texts. */
const explainedOutput = ({ output, element, subject }: ExplainRequest, served: Servable): ExplainedOutput => {
  const names = served.outputs.map(({ name }) => name).join(", ");
  const place = output === "" ? 0 : served.outputs.findIndex(({ name }) => name === output);
  const spec = served.outputs[place];
  if (spec === undefined)
    throw new ExplainRequestInvalidError("output", `one of the model's outputs: ${names}`, output);
  if (spec.datatype === "BYTES") {
    throw new ExplainRequestInvalidError("output", `an output of numbers, of ${names}`, `${spec.name}, which is BYTES`);
  }
  const rest = spec.shape.slice(1);
  const perRow = rest.reduce((product, dimension) => product * dimension, 1);
  if (!rest.includes(-1) && element >= perRow) {
    throw new ExplainRequestInvalidError(
      "element",
      `below ${perRow}, the elements of a row of ${spec.name}`,
      `${element}`,
    );
  }
  const fixed = served.inputs.find(({ shape }) => shape[0] !== -1 && shape[0] !== 1);
  if (fixed !== undefined) {
    throw new ExplainRequestInvalidError(
      "model",
      "a model whose inputs have rows",
      `${fixed.name} [${fixed.shape.join(", ")}]`,
    );
  }
  return { output: place, element, calibrated: subject.case === "entities" };
};

const subjectRows = async (
  reading: FeatureReading,
  { subject }: ExplainRequest,
  served: Servable,
  deadline: FeatureDeadline,
): Promise<RowTable> => {
  switch (subject.case) {
    case "entities":
      return new RowTable((await readFeatures(reading, served, subject.value, deadline)).inputs);
    case "tensors":
      return rowTable(tensorsOf(subject.value), served.inputs, "tensors");
    default:
      throw new ExplainRequestInvalidError("subject", "tensors or entities", "neither");
  }
};

const givenBackground = (
  { backgroundRows }: ExplainRequest,
  given: TensorRows,
  served: Servable,
  table: RowTable,
  random: () => number,
): RowTable => {
  const background = rowTable(tensorsOf(given), served.inputs, "background", table);
  if (background.rows > maxBackgroundRows) {
    throw new ExplainRequestInvalidError("background", `at most ${maxBackgroundRows} rows`, `${background.rows}`);
  }
  return backgroundRows === 0 || backgroundRows >= background.rows
    ? background
    : background.chosen(sampleRows(background.rows, backgroundRows, random));
};

const maxBackgroundRows = 1000;

const fromPackage = async (
  { store }: Explaining,
  known: LRUCache<string, PackageBackground>,
  { model, backgroundRows }: ExplainRequest,
  served: Servable,
  random: () => number,
  signal: AbortSignal,
): Promise<RowTable> => {
  const { digest, repository, storeUrl } = served.origin;
  if (digest === "") throw new NoBackgroundError(model, "it is of no package.");
  let background = known.get(digest);
  if (background === undefined) {
    const own = storeUrl === undefined ? undefined : await openModelStore(storeUrl);
    try {
      const reader = await (own ?? store).pull(`${repository}@${digest}`, [], signal);
      background = await packageBackground(reader, served.inputs, signal);
    } finally {
      await own?.close();
    }
    known.set(digest, background);
  }
  return drawBackground(model, background, served.inputs, backgroundRows || defaultBackgroundRows, random);
};

const tensorsOf = ({ tensors }: TensorRows): Tensor[] =>
  tensors.map(({ name, datatype, shape, data }) => {
    if (!isDatatype(datatype)) {
      throw new TensorInvalidError({
        field: `${name}.datatype`,
        expected: "a datatype of the protocol",
        got: datatype,
      });
    }
    const dimensions = shape.map(Number);
    if (dimensions.some((dimension) => dimension < 0 || !Number.isSafeInteger(dimension))) {
      throw new TensorInvalidError({
        field: `${name}.shape`,
        expected: "dimensions of 0 or more",
        got: `[${dimensions.join(", ")}]`,
      });
    }
    return { name, datatype, shape: dimensions, data };
  });

/** The names of what contributes: features by their names, several elements of one input by their places. */
const unitNames = (units: readonly Unit[], table: RowTable, served: Servable): string[] => {
  const features = new Map(served.origin.manifest?.features?.inputs.map(({ input, feature }) => [input, feature]));
  return units.map(({ input, element }) => {
    const { name = "", perRow = 1 } = table.inputs[input] ?? {};
    const own = features.get(name) ?? name;
    return perRow === 1 ? own : `${own}[${element}]`;
  });
};
