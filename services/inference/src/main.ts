import { dirname } from "node:path";
import { DeploymentService } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { PredictionService } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import { openEventLog } from "@millrace/event-log";
import { implement } from "@millrace/grpc";
import { openModelStore } from "@millrace/model-package";
import { InFlightBytes } from "@millrace/rest";
import { runService, serveRest } from "@millrace/service-host";
import { DeclarationFile } from "./deployment/declaration-file.ts";
import { Deployments } from "./deployment/deployments.ts";
import { TagWatch } from "./deployment/tag-watch.ts";
import { endWithStuckRuns } from "./execution/end-with-stuck-runs.ts";
import { MemoryBudget } from "./execution/memory-budget.ts";
import { registerExplanationMetrics } from "./explanation/explanation-metrics.ts";
import { openInferenceCalls, openInferenceService } from "./open-inference-service.ts";
import { registerPipelineMetrics } from "./pipeline/pipeline-metrics.ts";
import { FeatureReader } from "./prediction/feature-reader.ts";
import { InferenceLog } from "./prediction/inference-log.ts";
import { PayloadLog } from "./prediction/payload-log.ts";
import { registerPayloadMetrics } from "./prediction/payload-metrics.ts";
import { PayloadObserver } from "./prediction/payload-observer.ts";
import { PredictionLog } from "./prediction/prediction-log.ts";
import { featureObserver, registerPredictionMetrics } from "./prediction/prediction-metrics.ts";
import { ModelRepository } from "./repository/model-repository.ts";
import { repositoryOptions } from "./repository/repository-options.ts";
import { restRoutes } from "./rest/rest-routes.ts";
import { explain } from "./rpc/explain.ts";
import { getStatus } from "./rpc/get-status.ts";
import { predict } from "./rpc/predict.ts";
import { validate } from "./rpc/validate.ts";
import { watchStatus } from "./rpc/watch-status.ts";
import { registerInFlightMetrics } from "./serving/in-flight-metrics.ts";
import { registerInferenceMetrics } from "./serving/inference-metrics.ts";
import { InferencePath } from "./serving/inference-path.ts";
import { ModelRoster } from "./serving/model-roster.ts";
import { readiness } from "./serving/readiness.ts";
import { registerShadowMetrics } from "./serving/shadow-metrics.ts";
import { ShadowTraffic } from "./serving/shadow-traffic.ts";
import { settings } from "./settings.ts";
import { SystemSharedMemory } from "./shared-memory/system-shared-memory.ts";
import {
  declarationLog,
  deploymentLog,
  instanceLog,
  payloadLogObserver,
  predictionLogObserver,
  repositoryLog,
  tagLog,
} from "./told.ts";

await runService(
  "inference",
  settings,
  async (host, config) => {
    const { log } = host;
    endWithStuckRuns((runs) =>
      log.fatal({ runs }, "Runs of models never returned and cannot be ended: the process kills itself."),
    );
    const store = host.own(await openModelStore(config.modelStoreUrl));
    const features =
      config.featureServingAddress === undefined
        ? undefined
        : new FeatureReader(host.openChannel(config.featureServingAddress));
    const events = config.eventLogUrl === undefined ? undefined : host.own(await openEventLog(config.eventLogUrl));
    await events?.ensureTopic(config.predictionTopic, config.predictionPartitions);

    const metrics = registerPredictionMetrics(host.metrics, () => predictions?.buffered ?? 0);
    const predictions =
      events === undefined
        ? undefined
        : host.own(
            new PredictionLog(
              events,
              {
                topic: config.predictionTopic,
                maxBuffered: config.predictionBuffer,
                maxBufferedBytes: config.predictionBufferBytes,
                closeLimitMs: 5000,
              },
              predictionLogObserver(log, metrics),
            ),
          );

    const roster = host.own(new ModelRoster());
    const inFlight = new InFlightBytes(config.maxInFlightBytes);
    registerInferenceMetrics(host.metrics, roster);
    registerInFlightMetrics(host.metrics, inFlight);
    registerPipelineMetrics(host.metrics, roster);
    const explainedRows = registerExplanationMetrics(host.metrics);
    const shadows = registerShadowMetrics(host.metrics, (model, shadow, err) =>
      log.warn({ model, shadow, err }, "A shadow failed on a copy of a call."),
    );
    const payloadMetrics = registerPayloadMetrics(host.metrics, () => payloads.buffered);
    const payloads = host.own(
      new PayloadLog(
        {
          maxBuffered: config.payloadBuffer,
          maxBufferedBytes: config.payloadBufferBytes,
          closeLimitMs: 5000,
          firstRetryMs: 200,
        },
        payloadLogObserver(log, payloadMetrics),
      ),
    );
    const path = new InferencePath(roster, inFlight, [
      new ShadowTraffic(roster, config.shadowCopies, shadows),
      ...(predictions === undefined ? [] : [new InferenceLog(predictions)]),
      new PayloadObserver(payloads),
    ]);
    const memory = new MemoryBudget((config.memoryBudgetMb ?? Infinity) * 1024 * 1024);
    const serving = { ...config, shared: { memory, instances: instanceLog(log) } };
    const repository =
      config.models === undefined
        ? undefined
        : host.own(new ModelRepository(repositoryOptions(config), roster, serving, repositoryLog(log)));
    await repository?.start();
    if (repository?.mode === "poll") host.start(repository);

    const sources = {
      store,
      features,
      keysFolder: config.deploymentsFile === undefined ? undefined : dirname(config.deploymentsFile),
    };
    const deployments = host.own(new Deployments(roster, sources, serving, deploymentLog(log)));
    if (config.deploymentsFile !== undefined) {
      const file = new DeclarationFile(
        config.deploymentsFile,
        config.deploymentsPollMs,
        deployments,
        declarationLog(log, config.deploymentsFile),
      );
      await file.look();
      host.start(file);
      host.start(new TagWatch(roster, store, config.tagLookMs, tagLog(log)));
    }
    host.ready("models", () => readiness(roster));

    const sharedMemory = config.systemSharedMemory ? host.own(new SystemSharedMemory()) : undefined;
    const openInference = {
      roster,
      path,
      repository,
      memory: sharedMemory,
      log,
      tracing: { endpoint: config.otlpEndpoint, sampleRatio: config.traceSampleRatio },
      isReady: () => !host.stopping.aborted && readiness(roster) === true,
      version: "0.1.0",
      onDefect: (err: unknown) => log.error({ err }, "A request with tensors failed."),
    };
    const calls = openInferenceCalls(openInference);
    await serveRest(host, config, {
      port: config.restPort,
      routes: restRoutes(calls, openInference),
      maxInFlightBytes: config.maxInFlightBytes,
      metricPrefix: "millrace_inference",
    });

    const reading = {
      features,
      featureTimeoutMs: config.featureTimeoutMs,
      nowMs: Date.now,
      observer: featureObserver(metrics),
    };
    return [
      openInferenceService(calls, openInference),
      implement(PredictionService, {
        predict: predict({
          ...reading,
          roster,
          path,
          log: predictions,
        }),
        explain: explain({
          ...reading,
          roster,
          store,
          maxEvaluations: config.explainMaxEvaluations,
          onExplained: (model, evaluations) => explainedRows.inc({ model }, evaluations),
        }),
      }),
      implement(DeploymentService, {
        getStatus: getStatus(roster),
        watchStatus: watchStatus(roster),
        validate: validate(sources, config, roster),
      }),
    ];
  },
  { grpcPort: 8001, metricsPort: 8002 },
);
