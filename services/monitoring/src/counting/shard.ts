/*
 * Counts one partition of the prediction topic together with the partition of the label topic that has the same number:
 * both are keyed by the prediction's id, so a prediction and its label meet here.
 *
 *   batch → decode → read join entries and windows → count in memory → one transaction:
 *           {offsets, counts by model} + {changed windows} + {join entries}
 *
 * The transaction holds the offsets that its counts cover. A process that dies before it has counted nothing; one that
 * dies after it goes on behind it. Where another replica wrote meanwhile the transaction is refused, memory is dropped,
 * and the batch is counted again from what the store holds.
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Label, Prediction } from "@millrace/contracts/millrace/event/v1/event";
import { Task } from "@millrace/contracts/millrace/model/v1/model_package";
import {
  type JoinEntry,
  JoinEntrySchema,
  type ModelCounts,
  ModelCountsSchema,
  type ShardState,
  ShardStateSchema,
  TopicProgressSchema,
} from "@millrace/contracts/millrace/monitoring/v1/state";
import type { LogRecord, RecordBatch } from "@millrace/event-log";
import type { Kv } from "@millrace/kv";
import type { Monitors } from "../monitors/monitors.ts";
import { scoreOf, type WatchedPackage } from "../packages/watched-package.ts";
import type { WatchedPackages } from "../packages/watched-packages.ts";
import { shardKey } from "../state-keys.ts";
import { countRow } from "./count-row.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { JoinEntries } from "./join-entries.ts";
import { eventTimeUsOf, isUnusable, readLabel, readPrediction, type Unusable } from "./read-record.ts";
import { isSampled } from "./sampled.ts";
import { slicesOf } from "./slices-of.ts";
import { type WindowSlot, WindowSlots } from "./window-slots.ts";

export interface ShardParts {
  readonly kv: Kv;
  readonly packages: WatchedPackages;
  readonly monitors: Monitors;
  readonly deadLetters: DeadLetters;
  readonly joinSampleRate: number;
  readonly nowMs: () => number;
}

export type Stream = "predictions" | "labels";

/** Attempts to count a batch against other writers before giving up. */
const ATTEMPTS = 20;

export class Shard {
  readonly partition: number;
  readonly #parts: ShardParts;
  readonly #windows: WindowSlots;
  #state: { readonly value: ShardState; readonly version: number } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(partition: number, parts: ShardParts) {
    this.partition = partition;
    this.#parts = parts;
    this.#windows = new WindowSlots(parts.kv, partition);
  }

  /** Where to begin a topic, by what the store holds; 0 where the topic is another life than the one counted. */
  begin(stream: Stream, epoch: string): Promise<bigint> {
    return this.#alone(async () => {
      this.#forget();
      const { value } = await this.#load();
      const progress = value[stream];
      return progress?.epoch === epoch ? progress.nextOffset : 0n;
    });
  }

  /**
   * Counts a batch of one of the two topics; records that are counted already are passed over.
   * @returns the next offset to be counted.
   */
  count(stream: Stream, epoch: string, batch: RecordBatch): Promise<bigint> {
    return this.#alone(async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const next = await this.#attempt(stream, epoch, batch);
        if (next !== undefined) return next;
        this.#forget();
      }
      throw new Error(`Partition ${this.partition} could not be counted: another writer was faster ${ATTEMPTS} times.`);
    });
  }

  async #attempt(stream: Stream, epoch: string, batch: RecordBatch): Promise<bigint | undefined> {
    const { value: before, version } = await this.#load();
    const progress = before[stream]?.epoch === epoch ? before[stream].nextOffset : 0n;
    const records = batch.records.filter(({ offset }) => offset >= progress);
    const last = records.at(-1);
    if (last === undefined) return progress;
    const state = fromBinary(ShardStateSchema, toBinary(ShardStateSchema, before));
    state[stream] = create(TopicProgressSchema, { nextOffset: last.offset + 1n, epoch });
    const entries =
      stream === "predictions"
        ? await this.#countPredictions(state, batch.topic, records)
        : await this.#countLabels(state, batch.topic, records);
    const written = await this.#parts.kv.transact([
      { key: shardKey(this.partition), expectedVersion: version, value: toBinary(ShardStateSchema, state) },
      ...this.#windows.writes(),
      ...entries.writes(),
    ]);
    if (!written) return undefined;
    this.#windows.applied();
    this.#state = { value: state, version: version + 1 };
    return last.offset + 1n;
  }

  async #countPredictions(state: ShardState, topic: string, records: readonly LogRecord[]): Promise<JoinEntries> {
    const read = records.map((record) => ({ record, prediction: readPrediction(record) }));
    const joined = new Set<string>();
    for (const { prediction } of read)
      if (!isUnusable(prediction) && isSampled(prediction.id, this.#parts.joinSampleRate)) joined.add(prediction.id);
    const entries = await JoinEntries.read(this.#parts.kv, this.partition, joined);
    for (const { record, prediction } of read) {
      if (isUnusable(prediction)) await this.#reject(state, topic, record, prediction);
      else
        await this.#countPrediction(state, topic, record, prediction, joined.has(prediction.id) ? entries : undefined);
    }
    return entries;
  }

  async #countPrediction(
    state: ShardState,
    topic: string,
    record: LogRecord,
    prediction: Prediction,
    entries: JoinEntries | undefined,
  ): Promise<void> {
    const { id, model, packageDigest, packageRepository } = prediction;
    const rules = this.#parts.monitors.rulesOf(model);
    const eventTimeUs = eventTimeUsOf(prediction);
    const { fromUs, toUs } = rules.calendar.windowOf(eventTimeUs, rules.baseLength);
    const watched = await this.#parts.packages.get(packageRepository, packageDigest);
    const window = { model, packageDigest, slice: "", fromUs, toUs };
    const slot = await this.#windows.get(window, packageRepository, watched);
    slot.changed = true;
    const counts = countsOf(state, model);
    const entry = entries?.get(id);
    if (entry?.counted === true) {
      slot.duplicates++;
      counts.duplicates++;
      return;
    }
    const score = scoreOf(watched, prediction.outputs);
    countRow(slot.builder, watched, prediction, score);
    counts.predictions++;
    if (eventTimeUs > counts.newestEventTimeUs || counts.predictions === 1n) counts.newestEventTimeUs = eventTimeUs;
    const slices = rules.monitor.slices.length === 0 ? [] : slicesOf(rules.monitor.slices, watched, prediction);
    for (const slice of slices) {
      const slotOfSlice = await this.#windows.get({ ...window, slice }, packageRepository, watched);
      slotOfSlice.changed = true;
      countRow(slotOfSlice.builder, watched, prediction, score);
    }
    if (entries === undefined) return;
    const counted = create(JoinEntrySchema, {
      counted: true,
      model,
      packageDigest,
      eventTimeUs,
      slices,
      predictionOffset: record.offset,
      fromUs,
      toUs,
      labelOffset: entry?.labelOffset ?? 0n,
      ...(score === undefined ? {} : { score }),
    });
    if (entry?.label !== undefined) {
      state.labelsWithoutPrediction--;
      const problem = await this.#countLabel(state, counted, entry.label, watched, packageRepository);
      if (problem !== undefined) await this.#reject(state, topic, record, problem);
    }
    entries.set(id, counted, this.#parts.nowMs() + rules.labelTimeToLiveMs);
  }

  async #countLabels(state: ShardState, topic: string, records: readonly LogRecord[]): Promise<JoinEntries> {
    const read = records.map((record) => ({ record, label: readLabel(record) }));
    const joined = new Set<string>();
    for (const { label } of read)
      if (!isUnusable(label) && isSampled(label.predictionId, this.#parts.joinSampleRate))
        joined.add(label.predictionId);
    const entries = await JoinEntries.read(this.#parts.kv, this.partition, joined);
    for (const { record, label } of read) {
      if (isUnusable(label)) await this.#reject(state, topic, record, label);
      else if (joined.has(label.predictionId)) await this.#joinLabel(state, topic, record, label, entries);
    }
    return entries;
  }

  async #joinLabel(
    state: ShardState,
    topic: string,
    record: LogRecord,
    label: Label,
    entries: JoinEntries,
  ): Promise<void> {
    const entry = entries.get(label.predictionId);
    if (entry?.label !== undefined) return;
    if (entry === undefined || !entry.counted) {
      state.labelsWithoutPrediction++;
      const { labelTimeToLiveMs } = this.#parts.monitors.rulesOf("");
      const early = create(JoinEntrySchema, { label: label.value, labelOffset: record.offset });
      entries.set(label.predictionId, early, this.#parts.nowMs() + labelTimeToLiveMs);
      return;
    }
    const { labelTimeToLiveMs } = this.#parts.monitors.rulesOf(entry.model);
    const { packageDigest } = entry;
    const watched = await this.#packageOf(packageDigest, entry);
    entry.labelOffset = record.offset;
    const problem = await this.#countLabel(state, entry, label.value, watched.watched, watched.repository);
    if (problem !== undefined) return this.#reject(state, topic, record, problem);
    entries.set(label.predictionId, entry, this.#parts.nowMs() + labelTimeToLiveMs);
  }

  /** The package by which a counted prediction was counted: its window's counts name the repository. */
  async #packageOf(digest: string, entry: JoinEntry): Promise<{ watched: WatchedPackage; repository: string }> {
    const repository = await this.#windows.repositoryOf({
      model: entry.model,
      packageDigest: digest,
      slice: "",
      fromUs: entry.fromUs,
      toUs: entry.toUs,
    });
    return { watched: await this.#parts.packages.get(repository, digest), repository };
  }

  /** @returns why the label cannot be used; then nothing is counted. */
  async #countLabel(
    state: ShardState,
    entry: JoinEntry,
    label: number,
    watched: WatchedPackage,
    repository: string,
  ): Promise<Unusable | undefined> {
    if (watched.task === Task.BINARY && label !== 0 && label !== 1)
      return { reason: "MALFORMED", detail: `expected the label 0 or 1, got ${label}`, model: entry.model };
    entry.label = label;
    countsOf(state, entry.model).labels++;
    const { score, model, packageDigest, fromUs, toUs } = entry;
    if (score === undefined) return undefined;
    for (const slice of ["", ...entry.slices]) {
      const name = { model, packageDigest, slice, fromUs, toUs };
      addLabel(await this.#windows.get(name, repository, watched), watched, score, label);
    }
    return undefined;
  }

  async #reject(state: ShardState, topic: string, record: LogRecord, problem: Unusable): Promise<void> {
    await this.#parts.deadLetters.append(topic, record, problem);
    const counts = problem.model === "" ? state.deadLetters : countsOf(state, problem.model).deadLetters;
    counts[problem.reason] = (counts[problem.reason] ?? 0n) + 1n;
  }

  async #load(): Promise<{ readonly value: ShardState; readonly version: number }> {
    if (this.#state !== undefined) return this.#state;
    const [entry] = await this.#parts.kv.getManyVersioned([shardKey(this.partition)]);
    this.#state =
      entry === undefined
        ? { value: create(ShardStateSchema), version: 0 }
        : { value: fromBinary(ShardStateSchema, entry.value), version: entry.version };
    return this.#state;
  }

  #forget(): void {
    this.#state = undefined;
    this.#windows.clear();
  }

  /** Batches of the two topics take turns; a failure drops what is in memory and stops nobody else. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => this.#forget());
    return turn;
  }
}

const addLabel = (slot: WindowSlot, watched: WatchedPackage, score: number, label: number): void => {
  slot.changed = true;
  if (watched.task === Task.BINARY) slot.builder.performance?.addLabel(score, label);
  else slot.builder.performance?.addTruth(score, label);
};

const countsOf = (state: ShardState, model: string): ModelCounts => {
  const known = state.models[model];
  if (known !== undefined) return known;
  const counts = create(ModelCountsSchema);
  state.models[model] = counts;
  return counts;
};
