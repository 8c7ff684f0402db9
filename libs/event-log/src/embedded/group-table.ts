import type { LogPosition } from "../event-log.ts";
import { murmur2 } from "../murmur2.ts";
import type { LogTables } from "./log-tables.ts";
import { hasEnded, type ProcessIdentity, thisProcess } from "./process-identity.ts";
import type { StoredTopic, TopicCatalogue } from "./topic-catalogue.ts";

/*
 * Who is in a group, who has which partition, and what is committed, as rows of one table:
 *
 *   m GROUP 0 MEMBER            → JSON: topics, process, lease        a member
 *   o GROUP 0 topic, partition  → member id, or nothing               an owner; its version grows with every change
 *   c GROUP 0 topic, partition  → u64 offset                          a commit
 *
 * There is no coordinator: each member, in one transaction, renews its lease, removes members that are gone, works out
 * who should have what (the same for all, from the same rows), and takes what is free and should be its own. A partition
 * is given up by its owner, after its batch, before another takes it; so two members never work on one, unless an owner
 * outlived its lease, and then the owner's version makes its commit fail.
 */

export const leaseMs = 10_000;

interface Member {
  readonly id: string;
  readonly topics: readonly string[];
  readonly process: ProcessIdentity;
  readonly leaseUntilMs: number;
}

export interface OwnedPartition {
  readonly topic: StoredTopic;
  readonly partition: number;
  /** The version of the owner's row: proves ownership at a commit. */
  readonly version: number;
}

/** What a look at the group found for one member. */
export interface GroupView {
  /** Everything that is this member's now. */
  readonly owned: readonly OwnedPartition[];
  /** Of these, what another member should have. */
  readonly toRelease: readonly OwnedPartition[];
}

const rowPrefix = (kind: "m" | "o" | "c", group: string): Buffer => Buffer.from(`${kind}${group}\0`);

const partitionRow = (kind: "o" | "c", group: string, topicId: number, partition: number): Buffer => {
  const place = Buffer.allocUnsafe(8);
  place.writeUInt32BE(topicId, 0);
  place.writeUInt32BE(partition, 4);
  return Buffer.concat([rowPrefix(kind, group), place]);
};

const rowsOf = (prefix: Buffer): { readonly start: Buffer; readonly end: Buffer } => ({
  start: prefix,
  end: Buffer.concat([prefix, Buffer.alloc(64, 0xff)]),
});

export class GroupTable {
  readonly #tables: LogTables;
  readonly #catalogue: TopicCatalogue;
  readonly #group: string;
  readonly #now: () => number;

  constructor(tables: LogTables, catalogue: TopicCatalogue, group: string, now: () => number) {
    this.#tables = tables;
    this.#catalogue = catalogue;
    this.#group = group;
    this.#now = now;
  }

  /** Renews the member's lease and takes what is free and should be its own. One transaction. */
  renew(memberId: string, topics: readonly string[]): GroupView {
    // At once, on this thread: a transaction that waited for its turn here would hold up the writers of all processes.
    return this.#tables.groups.transactionSync(() => {
      const { groups } = this.#tables;
      const me: Member = { id: memberId, topics, process: thisProcess, leaseUntilMs: this.#now() + leaseMs };
      groups.put(
        Buffer.concat([rowPrefix("m", this.#group), Buffer.from(memberId)]),
        Buffer.from(JSON.stringify(me)),
        1,
      );
      const members = this.#liveMembers();
      const live = new Set(members.map(({ id }) => id));
      const owned: OwnedPartition[] = [];
      const toRelease: OwnedPartition[] = [];
      for (const name of topics) {
        const topic = this.#catalogue.find(name);
        if (topic === undefined) continue;
        const candidates = members.filter((member) => member.topics.includes(name));
        const turn = murmur2(Buffer.from(name)) & 0x7fffffff;
        for (let partition = 0; partition < topic.partitions; partition++) {
          const target = candidates[(turn + partition) % candidates.length]?.id;
          const row = partitionRow("o", this.#group, topic.id, partition);
          const entry = groups.getEntry(row);
          const owner = entry?.value.toString() ?? "";
          let version = entry?.version ?? 0;
          if (owner !== memberId) {
            if (target !== memberId || live.has(owner)) continue;
            version++;
            groups.put(row, Buffer.from(memberId), version);
          }
          owned.push({ topic, partition, version });
          if (target !== memberId) toRelease.push({ topic, partition, version });
        }
      }
      return { owned, toRelease };
    });
  }

  #liveMembers(): Member[] {
    const { groups } = this.#tables;
    const members: Member[] = [];
    for (const { key, value } of [...groups.getRange(rowsOf(rowPrefix("m", this.#group)))]) {
      const member = JSON.parse(value.toString()) as Member;
      if (member.leaseUntilMs > this.#now() && !hasEnded(member.process)) members.push(member);
      else groups.remove(key as Buffer);
    }
    return members;
  }

  /** Gives partitions back, so that their next owner may take them. */
  async release(partitions: readonly OwnedPartition[]): Promise<void> {
    await Promise.all(
      partitions.map(({ topic, partition, version }) =>
        this.#tables.groups.put(
          partitionRow("o", this.#group, topic.id, partition),
          Buffer.alloc(0),
          version + 1,
          version,
        ),
      ),
    );
  }

  async leave(memberId: string): Promise<void> {
    await this.#tables.groups.remove(Buffer.concat([rowPrefix("m", this.#group), Buffer.from(memberId)]));
  }

  /** Commits unless another owns the partition by now. @returns whether it was committed. */
  commit({ topic, partition, version }: OwnedPartition, offset: bigint): Promise<boolean> {
    const { groups } = this.#tables;
    const bytes = Buffer.allocUnsafe(8);
    bytes.writeBigUInt64BE(offset, 0);
    return groups.ifVersion(partitionRow("o", this.#group, topic.id, partition), version, () => {
      groups.put(partitionRow("c", this.#group, topic.id, partition), bytes, 1);
    });
  }

  committed(topic: StoredTopic): LogPosition[] {
    this.#tables.groups.resetReadTxn();
    const prefix = rowPrefix("c", this.#group);
    const place = Buffer.allocUnsafe(4);
    place.writeUInt32BE(topic.id, 0);
    return [...this.#tables.groups.getRange(rowsOf(Buffer.concat([prefix, place])))].map(({ key, value }) => ({
      partition: (key as Buffer).readUInt32BE((key as Buffer).length - 4),
      offset: value.readBigUInt64BE(0),
    }));
  }
}
