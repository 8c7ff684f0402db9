import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { ModelRoster } from "./model-roster.ts";

/**
 * Whether calls should come here: true, or a sentence that says why not. Not while a name that nothing serves yet is
 * loading, nor while a served model has no worker that can run. A version that failed does not make the others unready,
 * and neither does a pipeline whose model is missing.
 */
export const readiness = (roster: ModelRoster): true | string => {
  for (const name of roster.names()) {
    const versions = roster.versions(name);
    if (versions.length > 0) {
      const stuck = versions.every(({ alive, whyNotAlive }) => !alive && whyNotAlive === undefined);
      if (stuck) return `Each worker of ${name} is wedged or was lost.`;
    } else if (roster.records(name).some(({ state }) => state === State.LOADING || state === State.CHECKING)) {
      return `${name} is loading.`;
    }
  }
  return true;
};
