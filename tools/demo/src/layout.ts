import { join, resolve } from "node:path";

/** Where everything of one walkthrough lies, and how its stores are reached. */
export interface Layout {
  readonly stateFolder: string;
  readonly dataFolder: string;
  readonly logFolder: string;
  readonly deploymentsFile: string;
  readonly reportFile: string;
  readonly summaryFile: string;
  readonly replayFile: string;
  /** The process ids of the services, as they are now. */
  readonly processFile: string;
  readonly onlineStoreUrl: string;
  readonly registryUrl: string;
  readonly monitoringStateUrl: string;
  readonly trainingStateUrl: string;
  readonly eventLogUrl: string;
  readonly modelStoreUrl: string;
}

/** Servers that stand elsewhere; without them the embedded stores are used. */
export interface Backing {
  readonly redisUrl: string;
  readonly kafkaUrl: string;
}

/** A Redis URL whose keys all begin with a prefix. */
const prefixed = (url: string, prefix: string): string => `${url}${url.includes("?") ? "&" : "?"}prefix=${prefix}:`;

export const layoutOf = (folder: string, backing: Backing | undefined): Layout => {
  const stateFolder = resolve(folder);
  const at = (name: string): string => join(stateFolder, name);
  const store = (name: string): string =>
    backing === undefined ? `lmdb:${at(name)}` : prefixed(backing.redisUrl, `millrace-${name}`);
  return {
    stateFolder,
    dataFolder: at("data"),
    logFolder: at("logs"),
    deploymentsFile: at("deployments.yaml"),
    reportFile: at("report.html"),
    summaryFile: at("summary.json"),
    replayFile: at("replay.json"),
    processFile: at("processes.json"),
    onlineStoreUrl: store("online"),
    registryUrl: store("registry"),
    monitoringStateUrl: store("monitoring"),
    trainingStateUrl: store("training"),
    // Appends outlive a crash of any process. They need not outlive one of the machine: the replay can begin anew.
    eventLogUrl: backing === undefined ? `log:${at("log")}?durability=process` : backing.kafkaUrl,
    modelStoreUrl: `oci:${at("models")}`,
  };
};
