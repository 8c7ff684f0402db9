import { promises as files } from "node:fs";
import type { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { loadVersion, type ServingOptions } from "../serving/load-version.ts";
import { defaultPolicy, type Servable } from "../serving/servable.ts";
import { configuredOptions } from "./config/configured-options.ts";
import { fitToGraph } from "./config/fit-to-graph.ts";
import { ConfiguredVersion } from "./configured-version.ts";
import type { FoundVersion, OpenedModel } from "./found-model.ts";
import { readLabels } from "./read-labels.ts";
import { warmUp } from "./warm-up.ts";

/**
 * Loads a version that was found, as its model's configuration has it, until it can take traffic.
 * @returns it, and a sentence's end that says whether its requests are joined.
 * @throws ModelConfigInvalidError, ModelInvalidError, GoldenMismatchError and what reading throws. Nothing is left
 *   running then but a run that takes too long: its worker is retired when it returns.
 */
export const loadFoundVersion = async (
  name: string,
  { version, reference, read }: FoundVersion,
  { config, folder, boundary }: OpenedModel,
  defaults: ServingOptions,
  onState: (state: State) => void,
): Promise<{ readonly served: Servable; readonly joining: string }> => {
  const content = await read();
  const labels =
    config === undefined || folder === undefined
      ? new Map<string, readonly string[]>()
      : await readLabels(config, await files.realpath(folder), boundary);
  let joining = "";
  const model = await loadVersion(
    {
      ...content,
      name,
      version,
      origin: { ...content.origin, reference },
      golden: content.golden,
      options: config === undefined ? defaults : configuredOptions(config, defaults),
      policy: defaultPolicy,
    },
    {
      onState,
      onJoining: (text) => {
        joining = text;
      },
    },
  );
  if (config === undefined) return { served: model, joining };
  try {
    const tensors = fitToGraph(config, name, model);
    await warmUp(config, name, tensors.inputs, model.lane.instances, { folder, boundary });
    return { served: new ConfiguredVersion(model, config, tensors, labels), joining };
  } catch (error) {
    const inRun = model.lane.instances.some(({ state }) => state === "running" || state === "wedged");
    const retired = model.retire();
    // A run that takes too long may never return: the error must not wait for it.
    if (inRun) retired.catch((defect: unknown) => defaults.shared?.instances(name, version).onLost(defect, 0));
    else await retired;
    throw error;
  }
};
