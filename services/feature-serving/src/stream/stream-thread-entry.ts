import { parentPort, workerData } from "node:worker_threads";
import { openEventLog } from "@millrace/event-log";
import { openKv } from "@millrace/kv";
import { Catalogue } from "../catalogue.ts";
import { Tombstones } from "../erasure/tombstones.ts";
import { Registry } from "../registry.ts";
import { schemaRegistryOf } from "./http-schema-registry.ts";
import { StreamWorker } from "./stream-worker.ts";
import type { FromStreamThread, StreamThreadData, ToStreamThread } from "./thread-messages.ts";

// The thread of the stream worker: it opens its own store and log, so that folding never holds up an answer.

const port = parentPort;
if (port === null)
  throw new Error("stream-thread-entry.ts is the entry of a worker thread: start it with StreamThread.");

const data: StreamThreadData = workerData;
const tell = (message: FromStreamThread) => port.postMessage(message);
const onTrouble = (message: string) => tell({ type: "trouble", message });
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

const online = await openKv(data.onlineStoreUrl);
const registryKv = data.registryUrl === data.onlineStoreUrl ? online : await openKv(data.registryUrl);
const log = await openEventLog(data.eventLogUrl);
const catalogue = new Catalogue(new Registry(registryKv));
const worker = new StreamWorker({
  online,
  log,
  catalogue,
  group: data.streamGroup,
  topicPartitions: data.topicPartitions,
  rewindMs: data.rewindMs,
  schemas: schemaRegistryOf(data.schemaRegistryUrl),
  tombstones: new Tombstones(registryKv),
  onApplied: (applied) => tell({ type: "applied", applied }),
  onTrouble,
});
catalogue.onChange((definitions) => worker.configure(definitions));

const stopping = new AbortController();
const onFailure = (error: unknown) => onTrouble(`the definitions could not be taken: ${messageOf(error)}`);
const watching = (async () => {
  await catalogue.refresh().then(() => tell({ type: "ready" }), onFailure);
  await catalogue.run(stopping.signal, onFailure, () => {
    tell({ type: "ready" });
    worker.refreshCuts().catch(onFailure);
    worker.refreshErasures().catch(onFailure);
  });
})();
const counting = setInterval(() => tell({ type: "counts", counts: worker.counts.snapshot() }), 500);

port.on("message", (message: ToStreamThread) => {
  if (message.type === "stop") {
    stopping.abort();
    return;
  }
  catalogue.refresh().then(
    () => tell({ type: "refreshed", id: message.id }),
    (error: unknown) => tell({ type: "refreshed", id: message.id, error: messageOf(error) }),
  );
});

await watching;
clearInterval(counting);
await worker.close();
tell({ type: "counts", counts: worker.counts.snapshot() });
await log.close();
if (registryKv !== online) await registryKv.close();
await online.close();
port.close();
