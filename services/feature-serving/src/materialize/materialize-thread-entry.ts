import { parentPort, workerData } from "node:worker_threads";
import { MillraceError } from "@millrace/errors";
import { openEventLog } from "@millrace/event-log";
import { openKv } from "@millrace/kv";
import { Catalogue, FeatureViewUnknownError } from "../catalogue.ts";
import { Registry } from "../registry.ts";
import { ProgressStore } from "../stream/progress.ts";
import type { FromMaterializeThread, MaterializeThreadData } from "./materialize-thread.ts";
import { materializeView } from "./materialize-view.ts";

// The thread of one materialization.

const port = parentPort;
if (port === null) throw new Error("materialize-thread-entry.ts is the entry of a worker thread.");

const data: MaterializeThreadData = workerData;
const tell = (message: FromMaterializeThread) => port.postMessage(message);

const online = await openKv(data.onlineStoreUrl);
const registryKv = data.registryUrl === data.onlineStoreUrl ? online : await openKv(data.registryUrl);
const log = await openEventLog(data.eventLogUrl);
try {
  const catalogue = new Catalogue(new Registry(registryKv));
  await catalogue.refresh();
  const { views } = catalogue.definitions().repository;
  const view = views.get(data.view);
  if (view === undefined) throw new FeatureViewUnknownError(data.view, [...views.keys()]);
  const progress = new ProgressStore(online, data.streamGroup);
  const { fromUs, toUs, dataRoot, topicPartitions } = data;
  for await (const step of materializeView({ view, fromUs, toUs, online, log, progress, dataRoot, topicPartitions })) {
    const { rows, totalRows, keys, done } = step;
    tell({ type: "progress", progress: { rows, totalRows, keys, done } });
  }
} catch (error) {
  if (!(error instanceof MillraceError)) throw error;
  const { code, reason, message } = error;
  const { cause: _inTheLog, ...details } = error.details;
  tell({ type: "refused", code, reason, message, details });
} finally {
  await log.close();
  if (registryKv !== online) await registryKv.close();
  await online.close();
}
