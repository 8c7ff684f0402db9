import { runService } from "@millrace/service-host";
import { openInferenceService } from "./open-inference-service.ts";
import { ModelFolder } from "./serving/model-folder.ts";
import { ModelRoster } from "./serving/model-roster.ts";
import { settings } from "./settings.ts";

await runService(
  "inference",
  settings,
  async (host, config) => {
    const roster = host.own(new ModelRoster());
    const folder =
      config.models === undefined
        ? undefined
        : new ModelFolder(config.models, roster, config, {
            onLoaded: (model, version, text) => host.log.info({ model, version }, `Serves ${model}: ${text}.`),
            onFailed: (model, version, err) => host.log.error({ model, version, err }, `${model} does not serve.`),
          });
    await folder?.loadAll();
    return [
      openInferenceService({
        roster,
        folder,
        isReady: () => roster.served().every(({ lane }) => lane.alive),
        version: "0.1.0",
        onDefect: (err) => host.log.error({ err }, "A request on a stream failed."),
      }),
    ];
  },
  { grpcPort: 8001, metricsPort: 8002 },
);
