import { join } from "node:path";
import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { RunPhase } from "@millrace/contracts/millrace/training/v1/training_service";
import { Backend, type TfjsTrainer } from "@millrace/contracts/millrace/training/v1/training_spec";
import { exportNetwork, type NetworkOutput } from "@millrace/onnx";
import { openTensorflow, type TensorflowChoice } from "@millrace/tensor/tensorflow";
import { checkExport } from "../evaluation/export-mismatch-error.ts";
import { specHash } from "../package/build-manifest.ts";
import { trainOnDataset } from "./train-on-dataset.ts";
import type { TrainedModel, TrainingTask } from "./trained-model.ts";

const backends: Readonly<Record<Backend, TensorflowChoice>> = {
  [Backend.BACKEND_UNSPECIFIED]: "auto",
  [Backend.AUTO]: "auto",
  [Backend.WASM]: "wasm",
  [Backend.NATIVE_CPU]: "native-cpu",
  [Backend.NATIVE_CUDA]: "native-cuda",
};

/** Trains a network of our own and writes it as ONNX. */
export const trainOwnNetwork = async (
  { spec, table, split, inputs, order, report, signal }: TrainingTask,
  trainer: TfjsTrainer,
): Promise<TrainedModel> => {
  const tensorflow = await openTensorflow(backends[trainer.backend]);
  report({ kind: "backend", text: `${tensorflow.label}: ${tensorflow.why}` });
  report({ kind: "phase", phase: RunPhase.TRAINING, detail: `Training on ${tensorflow.label}.` });
  const trained = await trainOnDataset({
    table,
    split,
    inputs,
    trainer,
    seed: spec.seed,
    checkpointFile: join(order.runFolder, "checkpoint.bin"),
    checkpointKey: `${specHash(spec)} ${tensorflow.label} ${table.origin.snapshotId}`,
    signal,
    report,
  });
  const detail = "Writing the network as ONNX, and comparing it with the network that was trained.";
  report({ kind: "phase", phase: RunPhase.EXPORTING, detail });
  const output: NetworkOutput =
    split.task === Task.BINARY
      ? { name: "probability", transform: "sigmoid" }
      : { name: "estimate", transform: "scale", scale: trained.labelDeviation, offset: trained.labelMean };
  return {
    model: exportNetwork({ name: spec.name, inputs, network: trained.model, output }),
    inputs,
    outputName: output.name,
    trainer: tensorflow.label,
    check: (rows, scores) => checkExport(trained.predict(rows), scores),
    close: () => trained.model.dispose(),
  };
};
