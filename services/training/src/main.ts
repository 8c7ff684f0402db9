import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { createClient } from "@millrace/grpc";
import { openKv } from "@millrace/kv";
import { runService } from "@millrace/service-host";
import { MlflowClient } from "./mlflow/mlflow-client.ts";
import { MlflowExport } from "./mlflow/mlflow-export.ts";
import { RunLedger } from "./runs/run-ledger.ts";
import { RunMetrics } from "./runs/run-metrics.ts";
import { RunQueue } from "./runs/run-queue.ts";
import { settings } from "./settings.ts";
import { trainingService } from "./training-service.ts";

await runService(
  "training",
  settings,
  async (host, config) => {
    const ledger = new RunLedger(host.own(await openKv(config.stateUrl)));
    await mkdir(config.workFolder, { recursive: true });
    const features =
      config.featureServingAddress === undefined
        ? undefined
        : createClient(FeatureService, host.openChannel(config.featureServingAddress));
    const location = { dataRoot: resolve(config.dataRoot), sqlConnectionsFile: config.sqlConnectionsFile };
    const metrics = new RunMetrics(host.metrics);
    const mlflow =
      config.mlflowTrackingUri === undefined
        ? undefined
        : new MlflowExport({
            ledger,
            client: new MlflowClient(config.mlflowTrackingUri, config.mlflowTokenFile),
            registry: host.metrics,
            onTrouble: (err) => host.log.warn({ err }, "A run could not be written to MLflow."),
          });
    const queue = new RunQueue({
      ...config,
      ledger,
      features,
      location,
      onChange: (run) => {
        metrics.note(run);
        mlflow?.notify();
        host.log.info({ run: run.id, spec: run.spec?.name }, metrics.sentence(run));
      },
      onDefect: (run, stack) => host.log.error({ run, stack }, "A run failed by a defect."),
    });
    metrics.watch(queue);
    host.start(queue);
    if (mlflow !== undefined) host.start(mlflow);
    const { allowCommandTrainer } = config;
    return [trainingService({ ledger, queue, features, location, allowCommandTrainer, now: Date.now })];
  },
  { grpcPort: 8021, metricsPort: 8022 },
);
