import { openEventLog } from "@millrace/event-log";
import { openKv } from "@millrace/kv";
import { Catalogue, FeatureViewUnknownError } from "../catalogue.ts";
import { Tombstones } from "../erasure/tombstones.ts";
import { Registry } from "../registry.ts";
import { ProgressStore } from "../stream/progress.ts";
import { serveThread } from "../thread-stream.ts";
import type { MaterializeThreadData } from "./materialize-thread.ts";
import { type MaterializeProgress, materializeView } from "./materialize-view.ts";

// The thread of one materialization: it opens its own stores.

await serveThread<MaterializeThreadData, MaterializeProgress>(async function* (data, signal) {
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
    const tombstones = new Tombstones(registryKv);
    const { fromUs, toUs, batchData, topicPartitions } = data;
    for await (const step of materializeView({
      view,
      fromUs,
      toUs,
      online,
      log,
      progress,
      tombstones,
      batchData,
      topicPartitions,
      signal,
    })) {
      const { rows, totalRows, keys, done } = step;
      yield { rows, totalRows, keys, done };
    }
  } finally {
    await log.close();
    if (registryKv !== online) await registryKv.close();
    await online.close();
  }
});
