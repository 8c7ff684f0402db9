import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { openModelStore } from "@millrace/model-package";
import { GraphBuilder } from "@millrace/onnx";
import { identityModel, rowsDependModel, scaleModel, slowModel } from "./models.ts";
import { scalePackage } from "./packages.ts";

const write = (path: string, content: Uint8Array | string) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
};
/** `sum = x · 1` over [rows, any]; the sums have the shape [rows], and `double` is `2 x`. */
const sumModel = (): Uint8Array => {
  const graph = new GraphBuilder("sum");
  const x = graph.input("x", "FP32", ["rows", "width"]);
  const axes = graph.constant("INT64", BigInt64Array.of(1n), [1]);
  graph.output("double", graph.node("Add", [x, x]), "FP32", ["rows", "width"]);
  graph.output("sum", graph.node("ReduceSum", [x, axes], { attributes: { keepdims: 0n } }), "FP32", ["rows"]);
  return graph.toBytes();
};

const mlmodel = (flavors: string) =>
  `artifact_path: model\nflavors:\n${flavors}\nmlflow_version: 2.20.0\nmodel_uuid: 1\n`;

/**
 * Writes models in every form that a folder may have them, and those that cannot serve.
 * @param models in Triton's layout, beside bare files. @param more MLflow folders and OCI layouts.
 * @param mlflow an MLflow folder itself.
 */
export const writeModelFolders = async (models: string, more: string, mlflow: string): Promise<void> => {
  const triton = (name: string, config: string | undefined, versions: Record<string, Uint8Array | string>) => {
    if (config !== undefined) write(join(models, name, "config.pbtxt"), config);
    for (const [version, model] of Object.entries(versions)) write(join(models, name, version, "model.onnx"), model);
  };

  write(join(models, "bare.onnx"), scaleModel(2));
  triton("plain", undefined, { "1": scaleModel(1), "3": scaleModel(3), "03": scaleModel(9) });
  triton(
    "several",
    `name: "several" platform: "onnxruntime_onnx" max_batch_size: 8 version_policy { specific { versions: [1, 2] } }
     dynamic_batching { max_queue_delay_microseconds: 500 preferred_batch_size: [4] priority_levels: 2
       default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 9000 max_queue_size: 7 }
       priority_queue_policy { key: 1 value { allow_timeout_override: true } } }
     instance_group { count: 2 kind: KIND_CPU } response_cache { enable: true }
     parameters { key: "intra_op_thread_count" value { string_value: "1" } }
     parameters { key: "enable_mem_arena" value { string_value: "0" } }
     parameters { key: "execution_mode" value { string_value: "1" } }
     parameters { key: "inter_op_thread_count" value { string_value: "2" } }
     parameters { key: "speed" value { string_value: "fast" } }
     optimization { graph { level: 1 } eager_batching: true }`,
    { "1": scaleModel(10), "2": scaleModel(20), "3": scaleModel(30) },
  );
  triton("all", 'version_policy { all {} } default_model_filename: "net.onnx"', {});
  write(join(models, "all", "1", "net.onnx"), scaleModel(1));
  write(join(models, "all", "2", "net.onnx"), scaleModel(2));
  triton(
    "fitted",
    `max_batch_size: 4
     input { name: "x" data_type: TYPE_FP32 dims: [1, 3] reshape { shape: [3] } }
     output { name: "sum" data_type: TYPE_FP32 dims: [1] reshape { shape: [] } label_filename: "sums.txt" }
     model_warmup { name: "zeros" batch_size: 2 inputs { key: "x" value { data_type: TYPE_FP32 dims: [1, 3] zero_data: true } } }
     model_warmup { name: "file" inputs { key: "x" value { data_type: TYPE_FP32 dims: [1, 3] input_data_file: "x.bin" } } }`,
    { "1": sumModel() },
  );
  write(join(models, "fitted", "sums.txt"), "small\nlarge\n");
  write(join(models, "fitted", "warmup", "x.bin"), new Uint8Array(12));
  triton(
    "ordered",
    `max_batch_size: 8 dynamic_batching { preserve_ordering: true } instance_group { kind: KIND_GPU }
     optimization { execution_accelerators { gpu_execution_accelerator { name: "tensorrt" } } }`,
    { "1": scaleModel(1) },
  );
  triton("one-row", 'max_batch_size: 1 input { name: "x" data_type: TYPE_FP32 dims: 1 }', { "1": scaleModel(4) });
  triton(
    "unbatched",
    'input { name: "x" data_type: TYPE_FP32 dims: [-1, 1] } output { name: "y" data_type: TYPE_FP32 dims: [-1, 1] }',
    { "1": scaleModel(5) },
  );
  triton(
    "chain",
    `platform: "ensemble" max_batch_size: 8
     input { name: "IN" data_type: TYPE_FP32 dims: 1 } output { name: "OUT" data_type: TYPE_FP32 dims: 1 }
     ensemble_scheduling { step [
       { model_name: "several" model_version: -1 input_map { key: "x" value: "IN" } output_map { key: "y" value: "mid" } },
       { model_name: "bare" model_version: -1 input_map { key: "x" value: "mid" } output_map { key: "y" value: "OUT" } } ] }`,
    {},
  );
  mkdirSync(join(models, "chain", "1"));

  write(join(models, "torn.onnx"), scaleModel(2).subarray(0, 60));
  write(join(models, "text.onnx"), "no model at all");
  triton("empty", "max_batch_size: 1", {});
  triton("no-file", undefined, {});
  mkdirSync(join(models, "no-file", "1"), { recursive: true });
  symlinkSync("circle", join(models, "circle"));
  triton("misnamed", 'name: "other"', { "1": scaleModel(1) });
  triton("unknown-field", "max_batch_size: 2\n\nmax_batch: 3", { "1": scaleModel(1) });
  triton("decoupled", "model_transaction_policy { decoupled: true } sequence_batching { }", { "1": scaleModel(1) });
  triton(
    "wrong-parameter",
    'parameters { key: "execution_mode" value { string_value: "2" } } optimization { graph { level: 3 } }',
    { "1": scaleModel(1) },
  );
  triton("other-backend", 'backend: "python"', { "1": scaleModel(1) });
  triton(
    "wrong-input",
    'max_batch_size: 4 input { name: "x" data_type: TYPE_FP64 dims: [2] } input { name: "z" data_type: TYPE_FP32 dims: 1 }',
    { "1": scaleModel(1) },
  );
  triton("fixed-batch", "max_batch_size: 4", { "1": slowModel(1) });
  triton("missing-version", "version_policy { specific { versions: [1, 7] } }", { "1": scaleModel(1) });
  triton("escaping", 'default_model_filename: "../../bare.onnx"', { "1": scaleModel(1) });
  triton(
    "no-labels",
    'output { name: "y" data_type: TYPE_FP32 dims: 1 label_filename: "absent.txt" } max_batch_size: 2',
    { "1": scaleModel(1) },
  );
  triton(
    "cold",
    'max_batch_size: 2 model_warmup { inputs { key: "x" value { data_type: TYPE_FP32 dims: 2 zero_data: true } } }',
    { "1": scaleModel(1) },
  );
  triton("twice", undefined, { "1": scaleModel(1) });
  write(join(more, "twice.onnx"), scaleModel(1));
  write(join(more, "sk", "MLmodel"), mlmodel("  sklearn:\n    pickled_model: model.pkl"));
  write(
    join(more, "flow", "MLmodel"),
    mlmodel("  onnx:\n    data: model.onnx\n    onnx_version: 1.17.0\n  python_function:\n    data: model.onnx"),
  );
  write(join(more, "flow", "model.onnx"), scaleModel(6));
  write(join(more, "leaving", "MLmodel"), mlmodel("  onnx:\n    data: ../../models/bare.onnx"));
  write(join(more, "depends.onnx"), rowsDependModel());
  write(join(mlflow, "MLmodel"), mlmodel("  onnx:\n    data: model.onnx"));
  write(join(mlflow, "model.onnx"), identityModel("FP32"));

  const store = await openModelStore(`oci:${more}`);
  await store.push("packed", scalePackage(7), ["production"]);
  await store.push("imaged", scalePackage(8), ["v1"]);
  await store.pushImage("imaged:v1", ["v1-image"]);
  await store.push("numbered", scalePackage(2), ["2"]);
  await store.push("numbered", scalePackage(5), ["5", "candidate"]);
  await store.push("vague", scalePackage(2), ["green"]);
  await store.push("vague", scalePackage(3), ["blue"]);
  await store.push("wrong-golden", scalePackage(3, scaleModel(3), 4), ["production"]);
  await store.close();
};
