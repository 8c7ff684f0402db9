import { createHash } from "node:crypto";
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { EventOrder } from "./source-event.ts";

interface AppliedPosition {
  readonly origin: number;
  readonly partition: number;
  offset: number;
}

/** 48 bits that name a topic's epoch or a materialization: what a row's replay guard remembers of it. */
export function originOf(name: string): number {
  return createHash("sha256").update(name).digest().readUIntBE(0, 6);
}

/**
 * A row's replay guard: by origin and partition, the last offset that was folded in. Every writer reads a partition in
 * order and never skips, so everything up to that offset is in the row, and an event at or before it is a repetition.
 * A topic that was made anew has another origin: its positions replace those of its former life.
 */
export class AppliedPositions {
  readonly #positions: AppliedPosition[] = [];

  /** Whether the event is already in the row. */
  has(event: EventOrder & { readonly origin: number }): boolean {
    for (const position of this.#positions) {
      if (position.partition === event.partition && position.origin === event.origin) {
        return event.offset <= position.offset;
      }
    }
    return false;
  }

  /** Remembers the event. */
  add(event: EventOrder & { readonly origin: number }): void {
    const isStream = event.partition >= 0;
    for (let index = this.#positions.length - 1; index >= 0; index--) {
      const position = this.#positions[index];
      if (position === undefined) continue;
      if (position.origin === event.origin && position.partition === event.partition) {
        position.offset = Math.max(position.offset, event.offset);
        return;
      }
      if (isStream && position.partition >= 0 && position.origin !== event.origin) this.#positions.splice(index, 1);
    }
    this.#positions.push({ origin: event.origin, partition: event.partition, offset: event.offset });
  }

  write(writer: ByteWriter): void {
    writer.varint(this.#positions.length);
    for (const { origin, partition, offset } of this.#positions) {
      writer.u48(origin);
      writer.varint(partition + 1);
      writer.varint(offset);
    }
  }

  /** Passes over what write wrote. */
  static skip(reader: ByteReader): void {
    for (let count = reader.varint(); count > 0; count--) {
      reader.skip(6);
      reader.varint();
      reader.varint();
    }
  }

  static read(reader: ByteReader): AppliedPositions {
    const applied = new AppliedPositions();
    const count = reader.varint();
    for (let index = 0; index < count; index++) {
      applied.#positions.push({ origin: reader.u48(), partition: reader.varint() - 1, offset: reader.varint() });
    }
    return applied;
  }
}
