import { join } from "node:path";
import type { Layout } from "./layout.ts";

export const serviceNames = ["feature-serving", "training", "inference", "monitoring"] as const;
export type ServiceName = (typeof serviceNames)[number];

/** How one service is started. */
export interface ServicePlan {
  readonly name: ServiceName;
  readonly main: string;
  readonly grpcPort: number;
  readonly metricsPort: number;
  readonly environment: Readonly<Record<string, string>>;
  /** What it is for, in a few words. */
  readonly purpose: string;
}

const repositoryRoot = join(import.meta.dirname, "../../..");
const ports: Readonly<Record<ServiceName, readonly [grpc: number, metrics: number]>> = {
  "feature-serving": [8011, 8012],
  training: [8021, 8022],
  inference: [8001, 8002],
  monitoring: [8031, 8032],
};

const purposes: Readonly<Record<ServiceName, string>> = {
  "feature-serving": "features, online and offline, from one definition",
  training: "runs that leave model packages",
  inference: "models behind the Open Inference Protocol, and Predict by entity",
  monitoring: "reads the prediction log; drift, data quality, performance",
};

/** @param portOffset added to every default port, so that two platforms fit on one machine. */
export const servicePlans = (layout: Layout, portOffset: number): readonly ServicePlan[] => {
  const address = (name: ServiceName): string => `127.0.0.1:${ports[name][0] + portOffset}`;
  const own: Readonly<Record<ServiceName, Record<string, string>>> = {
    "feature-serving": {
      MILLRACE_ONLINE_STORE_URL: layout.onlineStoreUrl,
      MILLRACE_REGISTRY_URL: layout.registryUrl,
      MILLRACE_EVENT_LOG_URL: layout.eventLogUrl,
      MILLRACE_DATA_ROOT: layout.dataFolder,
    },
    training: {
      MILLRACE_STATE_URL: layout.trainingStateUrl,
      MILLRACE_FEATURE_SERVING_ADDRESS: address("feature-serving"),
      MILLRACE_MODEL_STORE_URL: layout.modelStoreUrl,
      MILLRACE_DATA_ROOT: layout.dataFolder,
      MILLRACE_WORK_FOLDER: join(layout.stateFolder, "runs"),
    },
    inference: {
      MILLRACE_REST_PORT: String(8000 + portOffset),
      MILLRACE_MODEL_STORE_URL: layout.modelStoreUrl,
      MILLRACE_DEPLOYMENTS_FILE: layout.deploymentsFile,
      MILLRACE_FEATURE_SERVING_ADDRESS: address("feature-serving"),
      MILLRACE_EVENT_LOG_URL: layout.eventLogUrl,
      MILLRACE_PREDICTION_TOPIC: "predictions",
    },
    monitoring: {
      MILLRACE_STATE_URL: layout.monitoringStateUrl,
      MILLRACE_EVENT_LOG_URL: layout.eventLogUrl,
      MILLRACE_MODEL_STORE_URL: layout.modelStoreUrl,
      MILLRACE_TRAINING_ADDRESS: address("training"),
      MILLRACE_PREDICTION_TOPIC: "predictions",
      MILLRACE_LABEL_TOPIC: "labels",
      MILLRACE_ALERT_TOPIC: "alerts",
      MILLRACE_DATA_ROOT: layout.dataFolder,
    },
  };
  return serviceNames.map((name) => ({
    name,
    main: join(repositoryRoot, "services", name, "src/main.ts"),
    grpcPort: ports[name][0] + portOffset,
    metricsPort: ports[name][1] + portOffset,
    environment: own[name],
    purpose: purposes[name],
  }));
};
