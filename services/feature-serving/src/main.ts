import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { openEventLog } from "@millrace/event-log";
import { parseDurationUs } from "@millrace/feature-definition";
import { implement } from "@millrace/grpc";
import { openKv } from "@millrace/kv";
import { runService, serveRest } from "@millrace/service-host";
import { Catalogue } from "./catalogue.ts";
import { ErasureReceipts } from "./erasure/erasure-receipts.ts";
import { Tombstones } from "./erasure/tombstones.ts";
import { feastErrorBody, feastRoutes } from "./feast/feast-routes.ts";
import { feastServices } from "./feast/feast-services.ts";
import { featureService } from "./feature-service.ts";
import { ingestionMetrics } from "./ingestion-metrics.ts";
import { Registry } from "./registry.ts";
import { RowCache } from "./row-cache.ts";
import { settings } from "./settings.ts";
import { AppliedWatch } from "./stream/applied-watch.ts";
import { schemaRegistryOf } from "./stream/http-schema-registry.ts";
import { ProgressStore } from "./stream/progress.ts";
import { StreamThread } from "./stream/stream-thread.ts";
import { ContinuousVerification } from "./verification/continuous-verification.ts";
import { PackageBindings } from "./versions/package-bindings.ts";
import { VersionKeeper } from "./versions/version-keeper.ts";
import { VersionReads } from "./versions/version-reads.ts";

/** So many bodies of the largest size may be under way over HTTP at once. */
const bodiesUnderWay = 8;

await runService(
  "feature-serving",
  settings,
  async (host, config) => {
    const registryUrl = config.registryUrl ?? config.onlineStoreUrl;
    const { onlineStoreUrl, eventLogUrl, streamGroup } = config;
    const stores = { onlineStoreUrl, registryUrl, eventLogUrl, streamGroup };
    const online = host.own(await openKv(config.onlineStoreUrl));
    const registryKv = registryUrl === config.onlineStoreUrl ? online : host.own(await openKv(registryUrl));
    const log = host.own(await openEventLog(config.eventLogUrl));
    const registry = new Registry(registryKv);
    const catalogue = new Catalogue(registry);
    await catalogue.refresh();
    host.start({
      run: (signal) => catalogue.run(signal, (err) => host.log.warn({ err }, "The registry could not be read.")),
    });

    const progress = new ProgressStore(online, config.streamGroup);
    const applied = new AppliedWatch(progress);
    const packages = config.modelsUrl === undefined ? undefined : host.own(new PackageBindings(config.modelsUrl));
    const versionReads = new VersionReads(registryKv);
    const retentionMs = Number(parseDurationUs(config.versionRetention)) / 1000;
    const versionKeeper = new VersionKeeper({
      registry,
      catalogue,
      online,
      log,
      progress,
      reads: versionReads,
      packages,
      retentionMs,
    });
    host.start({
      run: (signal) =>
        versionKeeper.run(signal, (err) => host.log.warn({ err }, "Versions of feature services could not be kept.")),
    });
    let streamThread: StreamThread | undefined;
    if (config.role !== "serve") {
      const thread = new StreamThread({
        ...stores,
        schemaRegistryUrl: config.schemaRegistryUrl,
        topicPartitions: config.topicPartitions,
        rewindMs: config.rewindMs,
        onApplied: (partitions) => applied.notify(partitions),
        onCounts: ingestionMetrics(host.metrics),
        onTrouble: (message) => host.log.warn(message),
      });
      streamThread = thread;
      host.start(thread);
      host.ready("stream worker", () => thread.isReady || "the stream worker does not read its topics yet");
    }
    if (config.role === "stream") return [implement(FeatureService, {})];

    const rowCache = new RowCache(online, {
      maxBytes: config.rowCacheBytes,
      maxStalenessMs: config.maxStalenessMs,
      registry: host.metrics,
    });
    const tombstones = new Tombstones(registryKv);
    host.start({
      run: (signal) =>
        tombstones.watch(
          signal,
          () => rowCache.clear(),
          (err) => host.log.warn({ err }, "The tombstones of erased entities could not be read."),
        ),
    });
    const nowUs = () => Date.now() * 1000;
    const serving = {
      ...config,
      batchData: { dataRoot: config.dataRoot, sqlConnectionsFile: config.sqlConnectionsFile },
      stores,
      online,
      log,
      registry,
      catalogue,
      progress,
      applied,
      versionReads,
      versionKeeper,
      packages,
      rowCache,
      tombstones,
      receipts: new ErasureReceipts(registryKv),
      schemas: schemaRegistryOf(config.schemaRegistryUrl),
      streamThread,
      nowUs,
    };
    const verifyIntervalUs = config.verifyInterval === undefined ? undefined : parseDurationUs(config.verifyInterval);
    if (verifyIntervalUs !== undefined) {
      host.start(
        new ContinuousVerification(serving, {
          intervalMs: Number(verifyIntervalUs) / 1000,
          entities: config.verifyEntities,
          registry: host.metrics,
          onTrouble: (err, service) => host.log.warn({ err, service }, "A feature service could not be verified."),
        }),
      );
    }
    await serveRest(host, config, {
      port: config.feastHttpPort,
      routes: feastRoutes(serving),
      errorBody: feastErrorBody,
      maxInFlightBytes: bodiesUnderWay * config.maxReceiveBytes,
      metricPrefix: "millrace_feature",
    });
    return [featureService(serving), ...feastServices(serving)];
  },
  { grpcPort: 8011, metricsPort: 8012 },
);
