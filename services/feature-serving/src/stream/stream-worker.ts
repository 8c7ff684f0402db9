import { toJsonString } from "@bufbuild/protobuf";
import { SourceSchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { EventLog } from "@millrace/event-log";
import { createViewStream, type SchemaRegistry, viewPrefix } from "@millrace/feature-definition/stream";
import type { Kv } from "@millrace/kv";
import type { AppliedDefinitions, LiveView } from "../applied-definitions.ts";
import type { Catalogue } from "../catalogue.ts";
import type { Tombstones } from "../erasure/tombstones.ts";
import { forgetMaterialization } from "../materialize/materialization-store.ts";
import type { AppliedPartition } from "./applied-partition.ts";
import { IngestionCounts } from "./ingestion-counts.ts";
import { ProgressStore } from "./progress.ts";
import { type SourceStreams, TopicIngestion } from "./topic-ingestion.ts";

export interface StreamWorkerOptions {
  readonly online: Kv;
  readonly log: EventLog;
  readonly catalogue: Catalogue;
  readonly group: string;
  readonly topicPartitions: number;
  readonly rewindMs: number;
  readonly schemas: SchemaRegistry;
  readonly tombstones: Tombstones;
  /** How long rows of a view that is no longer applied stay, for processes that still serve it. */
  readonly retireAfterMs?: number;
  readonly onApplied: (applied: readonly AppliedPartition[]) => void;
  /** Told of what goes wrong and is tried again. */
  readonly onTrouble: (message: string) => void;
}

interface RunningTopic {
  ingestion: TopicIngestion;
  sources: readonly SourceStreams[];
  isClosing: boolean;
  finished: Promise<void>;
}

const restartAfterMs = 500;
const knownViewsKey = new TextEncoder().encode("views/known");

/** Applies the topics of all sources to the online rows, as the definitions in force say. */
export class StreamWorker {
  readonly counts = new IngestionCounts();
  readonly #options: StreamWorkerOptions;
  readonly #progress: ProgressStore;
  readonly #topics = new Map<string, RunningTopic>();
  /** The version of the tombstones that all topics said they obey. */
  #erasures = 0;
  readonly #retiring = new Set<NodeJS.Timeout>();

  constructor(options: StreamWorkerOptions) {
    this.#options = options;
    this.#progress = new ProgressStore(options.online, options.group);
  }

  /** Takes definitions into force. Resolves when every topic is read by them. */
  async configure(definitions: AppliedDefinitions): Promise<void> {
    await this.refreshErasures();
    const wanted = streamsByTopic(definitions);
    for (const [topic, running] of this.#topics) {
      if (!wanted.has(topic)) await this.#stop(topic, running);
    }
    for (const [topic, sources] of wanted) {
      const running = this.#topics.get(topic);
      if (running === undefined) await this.#start(topic, sources);
      else {
        running.sources = sources;
        await running.ingestion.reconfigure(sources);
      }
    }
    await this.#retire(definitions);
  }

  /** Looks where materialized history ends, for every topic. */
  async refreshCuts(): Promise<void> {
    for (const { ingestion } of [...this.#topics.values()]) await ingestion.refreshCuts();
  }

  /** Obeys the newest tombstones, and says so in the progress of every topic. */
  async refreshErasures(): Promise<void> {
    const { tombstones } = this.#options;
    await tombstones.refresh();
    const { version } = tombstones;
    if (version === this.#erasures) return;
    for (const { ingestion } of [...this.#topics.values()]) await ingestion.takeErasures(version);
    this.#erasures = version;
  }

  async close(): Promise<void> {
    for (const timer of this.#retiring) clearTimeout(timer);
    await Promise.all([...this.#topics].map(([topic, running]) => this.#stop(topic, running)));
  }

  /** The first start must succeed; a topic that fails later is begun again until it is no longer wanted. */
  async #start(topic: string, sources: readonly SourceStreams[]): Promise<void> {
    const ingestion = this.#ingestion(topic);
    const running: RunningTopic = { ingestion, sources, isClosing: false, finished: Promise.resolve() };
    const consumer = await ingestion.start(sources);
    this.#topics.set(topic, running);
    running.finished = this.#keepRunning(topic, running, consumer.stopped);
  }

  async #keepRunning(topic: string, running: RunningTopic, firstStopped: Promise<void>): Promise<void> {
    let stopped = firstStopped;
    while (!running.isClosing) {
      try {
        await stopped;
        if (running.isClosing) return;
        throw new Error("the consumer left its group");
      } catch (error) {
        if (running.isClosing) return;
        this.#options.onTrouble(`${topic}: ${messageOf(error)}; begun again in ${restartAfterMs} ms`);
        await running.ingestion.close().catch((closing: unknown) => {
          this.#options.onTrouble(`${topic}: the failed consumer did not close: ${messageOf(closing)}`);
        });
        await new Promise((resolve) => setTimeout(resolve, restartAfterMs));
        if (running.isClosing) return;
        running.ingestion = this.#ingestion(topic);
        stopped = running.ingestion.start(running.sources).then((consumer) => consumer.stopped);
      }
    }
  }

  async #stop(topic: string, running: RunningTopic): Promise<void> {
    running.isClosing = true;
    this.#topics.delete(topic);
    await running.ingestion.close();
    await running.finished;
  }

  #ingestion(topic: string): TopicIngestion {
    const { online, log, group, topicPartitions, rewindMs, schemas, tombstones, onApplied } = this.#options;
    const partitions = topicPartitions;
    const { counts } = this;
    const progress = this.#progress;
    return new TopicIngestion({
      tombstones,
      topic,
      group,
      partitions,
      rewindMs,
      online,
      log,
      schemas,
      progress,
      counts,
      onApplied,
    });
  }

  /** Drops the rows of view versions that are neither applied nor kept, once no process can still serve them. */
  async #retire(definitions: AppliedDefinitions): Promise<void> {
    const { online, retireAfterMs = 10_000, onTrouble } = this.#options;
    const current = [...definitions.liveViews.keys()];
    const [entry] = await online.getManyVersioned([knownViewsKey]);
    const known: string[] = entry === undefined ? [] : JSON.parse(new TextDecoder().decode(entry.value));
    const retired = known.filter((id) => !current.includes(id));
    const all = [...new Set([...known, ...current])];
    if (all.length > known.length) await this.#writeKnown(all, entry?.version ?? 0);
    if (retired.length === 0) return;
    const timer = setTimeout(() => {
      this.#retiring.delete(timer);
      this.#drop(retired).catch((error: unknown) => onTrouble(`rows of ${retired.join(", ")}: ${messageOf(error)}`));
    }, retireAfterMs);
    this.#retiring.add(timer);
  }

  async #drop(ids: readonly string[]): Promise<void> {
    const { online, catalogue } = this.#options;
    // The definitions of this moment count: the version may have been applied again.
    const isLive = async (id: string) => {
      await catalogue.refresh();
      return catalogue.current?.liveViews.has(id) ?? true;
    };
    for (const id of ids) {
      if (await isLive(id)) continue;
      const [name = "", version = ""] = id.split("@");
      let keys: Uint8Array[] = [];
      let isGone = true;
      for await (const [key] of online.scan(viewPrefix({ name, version }))) {
        if (keys.push(key) < 1000) continue;
        isGone = !(await isLive(id));
        if (!isGone) break;
        await deleteAll(online, keys);
        keys = [];
      }
      if (!isGone) continue;
      await deleteAll(online, keys);
      await forgetMaterialization(online, id);
      const [entry] = await online.getManyVersioned([knownViewsKey]);
      const known: string[] = entry === undefined ? [] : JSON.parse(new TextDecoder().decode(entry.value));
      await this.#writeKnown(
        known.filter((other) => other !== id),
        entry?.version ?? 0,
      );
    }
  }

  /** Another worker may write the same list: its next look, or ours, does it again. */
  async #writeKnown(ids: readonly string[], expectedVersion: number): Promise<void> {
    const value = new TextEncoder().encode(JSON.stringify(ids));
    await this.#options.online.compareAndSetMany([{ key: knownViewsKey, expectedVersion, value }]);
  }
}

/**
 * The live view versions by topic and source. A source that was declared otherwise when an older version was applied reads
 * the topic its own way for that version; what it refuses is told only for the source as it is applied.
 */
function streamsByTopic({ liveViews, applied }: AppliedDefinitions): Map<string, SourceStreams[]> {
  const topics = new Map<string, Map<string, LiveView[]>>();
  for (const live of liveViews.values()) {
    const topic = live.view.source.stream?.topic;
    if (topic === undefined || !live.view.online) continue;
    const sources = topics.get(topic) ?? new Map<string, LiveView[]>();
    topics.set(topic, sources);
    const declared = toJsonString(SourceSchema, live.source);
    sources.set(declared, [...(sources.get(declared) ?? []), live]);
  }
  const inForce = new Set(applied.repository?.sources.map((source) => toJsonString(SourceSchema, source)));
  return new Map(
    [...topics].map(([topic, sources]) => [
      topic,
      [...sources].flatMap(([declared, views]) => {
        const source = views[0]?.view.source;
        if (source === undefined) return [];
        const streams = views.map(({ view }) => createViewStream(view));
        return [{ source, streams, tellsRefusals: inForce.has(declared) }];
      }),
    ]),
  );
}

async function deleteAll(online: Kv, keys: readonly Uint8Array[]): Promise<void> {
  const stored = await online.getManyVersioned(keys);
  await online.compareAndSetMany(
    keys.flatMap((key, index) => {
      const entry = stored[index];
      return entry === undefined ? [] : [{ key, expectedVersion: entry.version, value: undefined }];
    }),
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
