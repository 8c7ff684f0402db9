import { setting } from "@millrace/service-host";
import { z } from "zod";

/** Every setting of the training service beside the host's own. The table in the README is printed from it. */
export const settings = {
  stateUrl: setting(
    z.string().min(1).default("lmdb:./.millrace/training/state"),
    "Where runs are kept: `lmdb:./folder` or `redis://host:port`.",
  ),
  featureServingAddress: setting(
    z.string().min(1).optional(),
    "Address of feature-serving. Without it only datasets from files alone can be trained on.",
  ),
  modelStoreUrl: setting(
    z.string().min(1).default("oci:./.millrace/models"),
    "Where model packages go: `oci:./folder` or `oci://registry/prefix`.",
  ),
  dataRoot: setting(z.string().min(1).default("."), "Folder below which the Parquet and CSV files of specs lie."),
  sqlConnectionsFile: setting(
    z.string().min(1).optional(),
    "A file with the databases of sql examples: NAME=postgres://USER:PASSWORD@HOST:PORT/DATABASE a line. It is read at each use.",
  ),
  workFolder: setting(
    z.string().min(1).default("./.millrace/training/runs"),
    "Folder for datasets and checkpoints, one folder a run.",
  ),
  allowCommandTrainer: setting(
    z.stringbool().default(false),
    "Whether specs may name programs that this service runs (`trainer.command`). Whoever may call StartRun then runs programs as this service's user.",
  ),
  trainerFolder: setting(z.string().min(1).default("."), "Folder in which those programs start."),
  mlflowTrackingUri: setting(
    z
      .url({ protocol: /^https?$/ })
      .refine((url) => new URL(url).username === "", "expected no user and no password: mlflowTokenFile names a token")
      .optional(),
    "MLflow's tracking server, http[s]://HOST[:PORT]: runs that are over are written to it, earlier ones too.",
  ),
  mlflowTokenFile: setting(z.string().min(1).optional(), "A file with the bearer token for it, read at each use."),
  maxConcurrentRuns: setting(
    z.coerce.number().int().min(1).max(64).default(1),
    "Runs that train at the same time; the others wait.",
  ),
  maxQueuedRuns: setting(
    z.coerce.number().int().min(1).default(1000),
    "Most runs that wait; StartRun refuses more with RESOURCE_EXHAUSTED.",
  ),
};
