import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { ModelRoster } from "./model-roster.ts";

/**
 * Whether calls should come here: true, or a sentence that says why not. Not while a name whose calls
 * nothing answers yet is loading, nor while a served model has no worker that can run. A version that failed does not make the others unready,
 * and neither does a pipeline whose model is missing.
 */
export const readiness = (roster: ModelRoster): true | string => {
  for (const name of roster.names()) {
    if (roster.answers(name)) continue;
    const records = roster.records(name);
    if (records.some(({ state }) => state === State.LOADING || state === State.CHECKING)) return `${name} is loading.`;
    const answering = records.flatMap((record) => (roster.share(name, record) > 0 ? (record.served ?? []) : []));
    if (answering.some(({ whyNotAlive }) => whyNotAlive === undefined)) {
      return `Each worker of ${name} is wedged or was lost.`;
    }
  }
  return true;
};
