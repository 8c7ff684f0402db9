import { setting } from "@millrace/service-host";
import { executionProviderNames } from "@millrace/tensor";
import { z } from "zod";
import { modelControlModes } from "./repository/model-control-mode.ts";

/** Every setting of the inference service beside the host's own. The table in the README is printed from it. */
export const settings = {
  models: setting(
    z.string().min(1).optional(),
    "Folders of models to serve, separated by commas: ONNX files, Triton's repository, MLflow folders, OCI layouts.",
  ),
  modelControlMode: setting(
    z.enum(modelControlModes).default("none"),
    "When models of the folders are loaded: `none` all at the start, `poll` as the folders change, `explicit` by calls.",
  ),
  loadModel: setting(
    z.string().min(1).optional(),
    "Models that the mode `explicit` loads at the start, separated by commas; `*` loads all.",
  ),
  repositoryPollMs: setting(
    z.coerce.number().int().min(20).default(1000),
    "How often the mode `poll` looks at the folders, in ms; what two looks in a row see alike is loaded.",
  ),
  restPort: setting(
    z.union([z.literal("off"), z.coerce.number().int().min(0).max(65535)]).default(8000),
    "Port of the protocol's REST form, on the address of gRPC and with its TLS and tokens; 0 takes a free one, `off` has none.",
  ),
  systemSharedMemory: setting(
    z.stringbool().default(false),
    "Takes and leaves tensors in the shared memory that callers on this machine name, below /dev/shm.",
  ),
  deploymentsFile: setting(
    z.string().min(1).optional(),
    "YAML file that declares what is served from the model store (a DeploymentDeclaration). It is watched.",
  ),
  deploymentsPollMs: setting(
    z.coerce.number().int().min(50).default(500),
    "How often the deployments file is looked at, in ms.",
  ),
  tagLookMs: setting(
    z.coerce.number().int().min(0).default(60_000),
    "How often it is looked whether a tag that was deployed has moved, in ms; 0 looks never.",
  ),
  shadowCopies: setting(
    z.coerce.number().int().min(1).default(64),
    "Most copies of calls that are under way to one shadow; more are dropped, and counted.",
  ),
  modelStoreUrl: setting(
    z.string().min(1).default("oci:./.millrace/models"),
    "Where model packages are: `oci:./folder` or `oci://registry/prefix`.",
  ),
  featureServingAddress: setting(
    z.string().min(1).optional(),
    "Address of feature-serving, for Predict. Without it models that read features are refused.",
  ),
  featureTimeoutMs: setting(
    z.coerce.number().int().min(1).default(5000),
    "Longest time that reading features may take, in ms; a deployment's share of the deadline may make it shorter.",
  ),
  eventLogUrl: setting(
    z.string().min(1).optional(),
    "Event log that predictions are written to: `log:./folder` or `kafka://host:port`. Without it none are logged.",
  ),
  predictionTopic: setting(z.string().min(1).default("predictions"), "Topic that predictions are written to."),
  predictionPartitions: setting(
    z.coerce.number().int().min(1).default(4),
    "Partitions of the prediction topic, where this service makes it.",
  ),
  predictionBuffer: setting(
    z.coerce.number().int().min(1).default(10_000),
    "Most predictions that wait to be logged; more are dropped, and counted.",
  ),
  predictionBufferBytes: setting(
    z.coerce.number().int().min(1).default(67_108_864),
    "Most memory that predictions hold while they wait to be logged, in bytes; more are dropped, and counted.",
  ),
  payloadBuffer: setting(
    z.coerce.number().int().min(1).default(1000),
    "Most events of payload logs that wait for one receiver; more are dropped, and counted.",
  ),
  payloadBufferBytes: setting(
    z.coerce.number().int().min(1).default(67_108_864),
    "Most memory that events of payload logs hold while they wait for one receiver, in bytes; more are dropped, and counted.",
  ),
  maxBatchSize: setting(
    z.coerce.number().int().min(1).default(128),
    "Most rows in one run, for models that say nothing else; 1 joins no requests.",
  ),
  maxQueueDelayMs: setting(
    z.coerce.number().min(0).default(0),
    "Longest time a lone request waits to be joined with others, in ms; 0 delays none.",
  ),
  maxQueueSize: setting(
    z.coerce.number().int().min(1).default(4096),
    "Most rows that wait for one model; more are refused with RESOURCE_EXHAUSTED.",
  ),
  maxRunTimeMs: setting(
    z.coerce.number().int().min(1).default(30_000),
    "Longest time one run may take before its worker counts as wedged, in ms.",
  ),
  instances: setting(
    z.coerce.number().int().min(1).max(64).default(1),
    "Workers for each model, each with its own copy of the weights.",
  ),
  explainMaxEvaluations: setting(
    z.coerce.number().int().min(1).default(1_000_000),
    "Most rows that one call of Explain may run a model on; what asks for more is refused.",
  ),
  executionProviders: setting(
    z
      .string()
      .default("cpu")
      .transform((text) => text.split(",").map((name) => name.trim()))
      .pipe(z.array(z.enum(executionProviderNames)).min(1)),
    "Where models run that say nothing else: `cpu`, `cuda`, `tensorrt`, `coreml`, `dml`, `webgpu`, in order of preference, separated by commas.",
  ),
  memoryBudgetMb: setting(
    z.coerce.number().min(1).optional(),
    "Memory that models may take together, in MiB; a load beyond it is refused.",
  ),
  maxInFlightBytes: setting(
    z.coerce.number().int().min(1024).default(536_870_912),
    "Most bytes of requests that are under way at once; more are refused with RESOURCE_EXHAUSTED.",
  ),
  responseCacheBytes: setting(
    z.coerce.number().int().min(0).default(1_048_576),
    "Memory for the answers of each model of the folders whose configuration turns its response cache on, in bytes.",
  ),
  intraOpThreads: setting(
    z.coerce.number().int().min(1).max(256).default(1),
    "Threads that one run of a model may use.",
  ),
};
