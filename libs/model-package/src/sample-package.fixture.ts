import { create } from "@bufbuild/protobuf";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  BaselineSchema,
  GoldenSchema,
  Meaning,
  ModelPackageSchema,
  Task,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { PackageContent } from "./package-content.ts";

/** A small package with every part, always of equal content. */
export const samplePackage = (changes: Partial<Pick<PackageContent, "model" | "card" | "externalData">> = {}) =>
  ({
    manifest: create(ModelPackageSchema, {
      name: "flight_delay",
      description: "Whether a flight lands more than 15 minutes late.",
      task: Task.BINARY,
      signature: {
        inputs: [{ name: "distance", datatype: "FP64", shape: [-1n, 1n], batched: true, meaning: Meaning.NUMERIC }],
        outputs: [{ name: "late", datatype: "FP32", shape: [-1n, 1n], batched: true, meaning: Meaning.PROBABILITY }],
      },
      features: {
        featureService: "flight_delay",
        featureServiceVersion: "1",
        schemaHash: "sha256:5f70",
        inputs: [
          { feature: "flights__distance", input: "distance", type: ValueType.DOUBLE, importance: 0.25 },
          { feature: "airports__state", input: "state", type: ValueType.STRING },
        ],
      },
      lineage: {
        datasetSnapshotId: "snapshot-1",
        trainer: "tfjs-wasm 4.22.0",
        seed: 7n,
        codeRevision: "0123abc",
        trainingRows: 1000n,
        newestEvent: { seconds: 980985600n, nanos: 500_000_000 },
      },
      evaluation: { metrics: [{ name: "ROC_AUC", value: 0.7125, rows: 200n }] },
    }),
    model: changes.model ?? new TextEncoder().encode("the bytes of a model"),
    baseline: create(BaselineSchema, {
      timeZone: "UTC",
      columns: [{ name: "distance", meaning: Meaning.NUMERIC, edges: [100, 500] }],
      days: [
        {
          day: 11354,
          profile: { rows: 3n, columns: [{ name: "state", count: 3n, unseen: { TX: 1n, "7": 1n, CA: 1n } }] },
        },
      ],
    }),
    golden: create(GoldenSchema, {
      examples: [{ inputs: [{ name: "distance", datatype: "FP64", shape: [1n, 1n] }] }],
      absoluteTolerance: 1e-5,
    }),
    ...(changes.externalData === undefined ? {} : { externalData: changes.externalData }),
    card: changes.card ?? "# flight_delay\n\nWhether a flight lands late.\n",
  }) satisfies PackageContent;
