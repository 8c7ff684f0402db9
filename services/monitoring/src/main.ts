import { openEventLog } from "@millrace/event-log";
import { openKv } from "@millrace/kv";
import { openModelStore } from "@millrace/model-package";
import { runService } from "@millrace/service-host";
import { openMonitoring } from "./open-monitoring.ts";
import { settings } from "./settings.ts";
import { startRunThrough } from "./training-client.ts";

await runService(
  "monitoring",
  settings,
  async (host, config) => {
    const kv = host.own(await openKv(config.stateUrl));
    const log = host.own(await openEventLog(config.eventLogUrl));
    const modelStore = host.own(await openModelStore(config.modelStoreUrl));
    const training = config.trainingAddress === undefined ? undefined : host.openChannel(config.trainingAddress);
    const { service, counting, judging } = await openMonitoring({
      ...config,
      kv,
      log,
      modelStore,
      startRunOf: training === undefined ? undefined : (monitors) => startRunThrough(training, monitors),
      metrics: host.metrics,
      stopping: host.stopping,
      nowMs: () => Date.now(),
      warn: (err, message) => host.log.warn({ err }, message),
    });
    host.start(counting);
    host.start(judging);
    return [service];
  },
  { grpcPort: 8031, metricsPort: 8032 },
);
