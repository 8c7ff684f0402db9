import { setting } from "@millrace/service-host";
import { z } from "zod";

/** Every setting of the monitoring service beside the host's own. The table in the README is printed from it. */
export const settings = {
  stateUrl: setting(
    z.string().min(1).default("lmdb:./.millrace/monitoring"),
    "Where counts, monitors and alerts are kept: `lmdb:./folder` or `redis://host:port`.",
  ),
  eventLogUrl: setting(
    z.string().min(1).default("log:./.millrace/log"),
    "Event log that is read: `log:./folder` or `kafka://host:port`.",
  ),
  modelStoreUrl: setting(
    z.string().min(1).default("oci:./.millrace/models"),
    "Where model packages, and in them the baselines, are: `oci:./folder` or `oci://registry/prefix`.",
  ),
  trainingAddress: setting(
    z.string().min(1).optional(),
    "Address of the training service. Without it no monitor can start a run, and alerts say so.",
  ),
  predictionTopic: setting(z.string().min(1).default("predictions"), "Topic of predictions."),
  labelTopic: setting(z.string().min(1).default("labels"), "Topic of labels, with as many partitions as predictions."),
  alertTopic: setting(z.string().min(1).default("alerts"), "Topic that alerts are written to."),
  deadLetterTopic: setting(
    z.string().min(1).default("monitoring-dead-letters"),
    "Topic for records that could not be used.",
  ),
  partitions: setting(
    z.coerce.number().int().min(1).max(1024).default(4),
    "Partitions of the prediction and label topics, where this service makes them.",
  ),
  group: setting(z.string().min(1).default("millrace-monitoring"), "Consumer group of this service's replicas."),
  dataRoot: setting(z.string().min(1).default("."), "Folder below which Compare may read Parquet files."),
  joinSampleRate: setting(
    z.coerce.number().min(0).max(1).default(1),
    "Share of predictions, by hash of the id, whose labels are joined and whose duplicates are found.",
  ),
  batchRecords: setting(
    z.coerce.number().int().min(1).max(10_000).default(500),
    "Most records counted in one transaction.",
  ),
  judgeIntervalMs: setting(
    z.coerce.number().int().min(50).default(1000),
    "How often windows that have settled are looked for, in ms.",
  ),
};
