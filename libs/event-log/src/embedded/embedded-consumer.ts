import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ConsumeOptions, Consumer, LogPosition } from "../event-log.ts";
import { LogUnavailableError } from "../log-unavailable-error.ts";
import { PartitionLostError } from "../partition-lost-error.ts";
import { type GroupTable, leaseMs, type OwnedPartition } from "./group-table.ts";
import type { PartitionReader } from "./partition-reader.ts";
import type { Wake } from "./wake.ts";

const renewEveryMs = leaseMs / 5;
const shortestPollMs = 2;

/** A partition that this member works on. */
interface Work {
  readonly owned: OwnedPartition;
  /** Ends the loop after the batch at hand. */
  stop(): void;
  isStopping: boolean;
  next: bigint;
  seekTo: bigint | undefined;
  done: Promise<void>;
}

export interface EmbeddedConsumerParts {
  readonly options: ConsumeOptions;
  readonly group: GroupTable;
  readonly reader: PartitionReader;
  readonly wake: Wake;
  /** Called when the consumer has ended, whatever the reason. */
  readonly ended: (consumer: EmbeddedConsumer) => void;
}

/** The name of the wake file of a group. Topic names cannot contain the sign. */
export const groupWakeName = (group: string): string => `@${Buffer.from(group).toString("base64url").slice(0, 200)}`;

const workName = (topic: string, partition: number): string => `${topic}/${partition}`;

/**
 * A member of a group on the embedded log. One loop looks after the membership, and one loop for each owned partition
 * reads a batch, hands it over, and waits for news where there is nothing to read.
 */
export class EmbeddedConsumer implements Consumer {
  readonly stopped: Promise<void>;
  readonly #parts: EmbeddedConsumerParts;
  readonly #memberId = randomUUID();
  readonly #works = new Map<string, Work>();
  readonly #stop = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  /** Settles the first look at the group, so that `consume` fails where the log does. */
  readonly joined: Promise<void>;

  constructor(parts: EmbeddedConsumerParts) {
    this.#parts = parts;
    let firstLook: () => void = () => undefined;
    this.joined = new Promise((resolve) => {
      firstLook = resolve;
    });
    this.stopped = this.#run(firstLook);
    // Whoever waits for it sees the rejection; nobody has to.
    this.stopped.catch(() => undefined);
  }

  async #run(firstLook: () => void): Promise<void> {
    const { group, options, wake, ended } = this.#parts;
    const groupName = groupWakeName(options.group);
    try {
      wake.notify(groupName);
      while (!this.#stop.signal.aborted) {
        const news = this.#waitFor(groupName, renewEveryMs);
        await this.#look(news.cancel);
        firstLook();
        await news.done;
      }
    } catch (error) {
      this.#failMembership(error);
    }
    firstLook();
    for (const work of this.#works.values()) work.stop();
    await Promise.all([...this.#works.values()].map(({ done }) => done));
    try {
      await this.#revoke([...this.#works.values()], true);
      await group.leave(this.#memberId);
      wake.notify(groupName);
    } catch (error) {
      this.#failMembership(error);
    }
    ended(this);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** The store's own errors become the port's; what a handler threw goes through as it is. */
  #failMembership(error: unknown): void {
    const isOfStore = error instanceof Error && "code" in error && typeof error.code === "number";
    this.#fail(isOfStore ? new LogUnavailableError("renewing the membership of a group", error) : error);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stop.abort();
  }

  /** Compares what is owned with what is worked on: ends what was lost or is wanted by others, begins what is new. */
  async #look(again: () => void): Promise<void> {
    const { group, options, wake } = this.#parts;
    const { owned, toRelease } = group.renew(this.#memberId, options.topics);
    const names = new Map(owned.map((partition) => [workName(partition.topic.name, partition.partition), partition]));
    const lost = [...this.#works].filter(([name, { owned: mine }]) => {
      const now = names.get(name);
      return now === undefined || now.topic.id !== mine.topic.id || now.version !== mine.version;
    });
    await this.#end(
      lost.map(([, work]) => work),
      false,
    );
    const release = toRelease.flatMap(({ topic, partition }) => this.#works.get(workName(topic.name, partition)) ?? []);
    if (release.length > 0) {
      await this.#end(release, true);
      wake.notify(groupWakeName(options.group));
    }
    const fresh = owned.filter(
      ({ topic, partition }) =>
        !this.#works.has(workName(topic.name, partition)) &&
        !toRelease.some((other) => other.topic.id === topic.id && other.partition === partition),
    );
    if (fresh.length > 0) await this.#begin(fresh);
    // What was taken before it was known to be another's is given back unused.
    const unused = toRelease.filter(
      ({ topic, partition }) => !release.some(({ owned: o }) => o.topic.id === topic.id && o.partition === partition),
    );
    if (unused.length > 0) {
      await group.release(unused);
      again();
    }
  }

  async #end(works: readonly Work[], release: boolean): Promise<void> {
    if (works.length === 0) return;
    for (const work of works) work.stop();
    await this.#whileRenewing(Promise.all(works.map(({ done }) => done)));
    await this.#revoke(works, release);
  }

  /** Keeps the lease while a handler finishes, however long it takes. */
  async #whileRenewing(work: Promise<unknown>): Promise<void> {
    const { group, options } = this.#parts;
    const timer = setInterval(() => {
      try {
        group.renew(this.#memberId, options.topics);
      } catch (error) {
        this.#failMembership(error);
      }
    }, renewEveryMs);
    try {
      await work;
    } finally {
      clearInterval(timer);
    }
  }

  async #revoke(works: readonly Work[], release: boolean): Promise<void> {
    for (const [topic, ofTopic] of Map.groupBy(works, ({ owned }) => owned.topic.name)) {
      const partitions = ofTopic.map(({ owned }) => owned.partition);
      for (const partition of partitions) this.#works.delete(workName(topic, partition));
      await this.#parts.options.handler.onRevoked?.(topic, partitions);
    }
    if (release) await this.#parts.group.release(works.map(({ owned }) => owned));
  }

  async #begin(fresh: readonly OwnedPartition[]): Promise<void> {
    const { group, options } = this.#parts;
    for (const [name, partitions] of Map.groupBy(fresh, ({ topic }) => topic.name)) {
      const chosen = await options.handler.onAssigned?.(
        name,
        partitions.map(({ partition }) => partition),
      );
      const [{ topic }] = partitions as [OwnedPartition];
      const committed = group.committed(topic);
      for (const owned of partitions) {
        const at = (positions: readonly LogPosition[] | undefined): bigint | undefined =>
          positions?.find(({ partition }) => partition === owned.partition)?.offset;
        this.#start(owned, at(chosen) ?? at(committed) ?? 0n);
      }
    }
  }

  #start(owned: OwnedPartition, from: bigint): void {
    const ending = new AbortController();
    const work: Work = {
      owned,
      next: from,
      seekTo: undefined,
      isStopping: false,
      stop: () => {
        work.isStopping = true;
        ending.abort();
      },
      done: Promise.resolve(),
    };
    this.#works.set(workName(owned.topic.name, owned.partition), work);
    work.done = this.#consume(work, ending.signal).catch((error: unknown) => {
      const isLost = error instanceof PartitionLostError;
      // The next look at the group finds out what was lost.
      if (isLost) this.#parts.wake.notify(groupWakeName(this.#parts.options.group));
      else this.#fail(error);
    });
  }

  async #consume(work: Work, ending: AbortSignal): Promise<void> {
    const { reader, options, wake } = this.#parts;
    const { topic, partition } = work.owned;
    const maxWaitMs = options.maxWaitMs ?? 100;
    let pauseMs = shortestPollMs;
    while (!work.isStopping && !this.#stop.signal.aborted) {
      if (work.seekTo !== undefined) {
        work.next = work.seekTo;
        work.seekTo = undefined;
      }
      const news = this.#waitFor(topic.name, wake.isPrompt ? maxWaitMs : Math.min(pauseMs, maxWaitMs), ending);
      const { records, first, end } = reader.read(topic, partition, work.next, options.maxBatchRecords ?? 1000);
      const last = records.at(-1);
      if (last === undefined) {
        // Retention, or a log that lost its tail, moved the bounds past the position: it goes on where the log begins.
        if (work.next < first || work.next > end) {
          work.next = first;
          news.cancel();
        } else pauseMs *= 2;
        await news.done;
        continue;
      }
      news.cancel();
      pauseMs = shortestPollMs;
      await options.handler.onBatch({ topic: topic.name, partition, records, endOffset: end }, this);
      if (work.seekTo === undefined) work.next = last.offset + 1n;
      // Timers and sockets get their turn between batches, however quick the handler is.
      await nextTurn();
    }
  }

  /** Waits for a commit under that name, a stop, or the time to pass. Registered at once, so nothing falls in between. */
  #waitFor(
    name: string,
    ms: number,
    ending?: AbortSignal,
  ): { readonly done: Promise<void>; readonly cancel: () => void } {
    let cancel: () => void = () => undefined;
    const done = new Promise<void>((resolve) => {
      const signals = ending === undefined ? [this.#stop.signal] : [this.#stop.signal, ending];
      const finish = (): void => {
        clearTimeout(timer);
        forget();
        for (const signal of signals) signal.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      const forget = this.#parts.wake.once(name, finish);
      for (const signal of signals) signal.addEventListener("abort", finish);
      cancel = finish;
      if (signals.some((signal) => signal.aborted)) finish();
    });
    return { done, cancel };
  }

  async commit(topic: string, positions: readonly LogPosition[]): Promise<void> {
    const { group, options } = this.#parts;
    const committed = await Promise.all(
      positions.map(({ partition, offset }) => {
        const owned = this.#works.get(workName(topic, partition))?.owned;
        return owned === undefined ? false : group.commit(owned, offset);
      }),
    );
    const refused = committed.indexOf(false);
    if (refused >= 0) throw new PartitionLostError(topic, positions[refused]?.partition, options.group);
  }

  seek(topic: string, { partition, offset }: LogPosition): void {
    const work = this.#works.get(workName(topic, partition));
    if (work === undefined) throw new PartitionLostError(topic, partition, this.#parts.options.group);
    work.seekTo = offset;
    this.#parts.wake.notify(topic);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    // Why it stopped is told by `stopped`.
    await this.stopped.catch(() => undefined);
  }
}
