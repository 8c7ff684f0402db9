import { access, open, rename, writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type EntityRowsSchema,
  type FeatureService,
  FeatureServiceStatusSchema,
  TrainingSetSummarySchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Dataset } from "@millrace/contracts/millrace/training/v1/training_spec";
import { type Client, RpcError } from "@millrace/grpc";
import { trainingSetColumns, trainingSetFiles } from "./training-set-files.ts";

const attempts = 6;
const firstPauseMs = 500;

/**
 * Has feature-serving build the training set, and keeps it in the run's folder as it comes; does nothing where it is
 * there already. Tried again, for about half a minute, while feature-serving cannot be reached.
 *
 * @throws RpcError as feature-serving answered.
 */
export const fetchTrainingSet = async (
  features: Client<typeof FeatureService>,
  dataset: Dataset,
  runFolder: string,
  onProgress: (rows: number, totalRows: number, detail: string) => void,
  signal: AbortSignal,
): Promise<void> => {
  const files = trainingSetFiles(runFolder);
  if (await exists(files.arrow)) {
    return;
  }
  for (let attempt = 1; ; attempt++) {
    try {
      const { featureService } = await features.getFeatureService({ name: dataset.featureService }, { signal });
      await writeFile(
        files.featureService,
        toBinary(FeatureServiceStatusSchema, featureService ?? create(FeatureServiceStatusSchema)),
      );
      await receive(features, dataset, files, onProgress, signal);
      return;
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== "UNAVAILABLE" || attempt === attempts) {
        throw error;
      }
      await pause(firstPauseMs * 2 ** (attempt - 1), undefined, { signal });
    }
  }
};

const receive = async (
  features: Client<typeof FeatureService>,
  dataset: Dataset,
  files: ReturnType<typeof trainingSetFiles>,
  onProgress: (rows: number, totalRows: number, detail: string) => void,
  signal: AbortSignal,
): Promise<void> => {
  const beside = `${files.arrow}.new`;
  const file = await open(beside, "w");
  let summary = create(TrainingSetSummarySchema);
  try {
    const parts = features.getTrainingSet(
      {
        selection: { case: "featureService", value: dataset.featureService },
        entityRows: entityRows(dataset),
        asOf: dataset.asOf,
        deterministic: true,
      },
      { signal, timeoutMs: Number.POSITIVE_INFINITY },
    );
    for await (const { part } of parts) {
      if (part.case === "arrow") {
        await file.writeFile(part.value);
      } else if (part.case === "progress") {
        onProgress(Number(part.value.rows), Number(part.value.totalRows), part.value.phase);
      } else if (part.case === "summary") {
        summary = part.value;
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await writeFile(files.summary, toBinary(TrainingSetSummarySchema, summary));
  // The training set counts as there from this moment on: everything else has been written before.
  await rename(beside, files.arrow);
};

/** The entity rows of a spec: its examples, as feature-serving reads them. */
export const entityRows = ({ examples, split }: Dataset): MessageInitShape<typeof EntityRowsSchema> => {
  const names = trainingSetColumns;
  const extra: Record<string, string> = { [names.label]: examples?.label ?? "" };
  if (examples?.labelKnownAt) {
    extra[names.labelKnownAt] = examples.labelKnownAt;
  }
  if (examples?.weight) {
    extra[names.weight] = examples.weight;
  }
  if (split?.split.case === "byHash") {
    extra[names.splitKey] = split.split.value.of;
  }
  for (const [name, expression] of Object.entries(examples?.slices ?? {})) {
    extra[names.slice(name)] = expression;
  }
  return {
    rows: {
      case: "query",
      value: {
        data: examples?.data ?? { case: undefined },
        columns: { [names.eventTime]: examples?.eventTime ?? "", ...examples?.entities, ...examples?.request },
        extra,
        where: examples?.where ?? "",
        orderByEventTime: true,
      },
    },
    eventTime: names.eventTime,
  };
};

const exists = async (file: string): Promise<boolean> => {
  try {
    await access(file);
    return true;
  } catch {
    return false;
  }
};
