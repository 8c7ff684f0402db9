import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { StreamSource_Envelope } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { CompiledField, CompiledSource, Row, Scalar } from "../compiled.ts";
import { elementType } from "../list-type.ts";
import { ownValue } from "../own-value.ts";
import { type Change, changeOf } from "./format/debezium.ts";
import { FramedDecoder, type SchemaRegistry } from "./format/framed-decoder.ts";
import { jsonDecoder } from "./format/json-decoder.ts";
import { type Members, type RecordDecoder, RecordMalformedError } from "./format/record-decoder.ts";
import { streamDecoder } from "./format/stream-decoder.ts";
import { withDerivedColumns } from "./with-derived-columns.ts";

/** Why a record cannot be used: the stable word of its dead letter, and a sentence. */
export interface Rejection {
  readonly reason: "MALFORMED" | "TOO_LATE" | "FROM_THE_FUTURE" | "KEY_NULL" | "OVERFLOW";
  readonly detail: string;
}

/** One record of a source's topic as a row with its two times. */
export interface ReadRecord {
  readonly row: Row;
  readonly eventTimeUs: number;
  readonly createdAtUs: number;
}

const largestTimeUs = 2 ** 52;
const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);

/**
 * Reads the records of a source, in the format of its stream. A missing member is null, unknown members are ignored.
 * INT64 is a whole number or digits in text; DOUBLE and FLOAT a number or "NaN", "Infinity", "-Infinity"; BYTES is bytes
 * or base64; TIMESTAMP is RFC 3339 text or microseconds. Late rows and rows from the future are told by the row alone.
 */
export class SourceRecordReader {
  readonly #source: CompiledSource;
  readonly #eventTime: number;
  readonly #createdAt: number;
  readonly #decoder: RecordDecoder;
  readonly #isChange: boolean;

  /** @throws StreamSchemaInvalidError where the stream's schema does not fit its format; compiling has told of it. */
  constructor(source: CompiledSource) {
    this.#source = source;
    this.#eventTime = source.fields.findIndex(({ name }) => name === source.eventTime);
    this.#createdAt = source.fields.findIndex(({ name }) => name === source.createdAt);
    this.#decoder = source.stream === undefined ? jsonDecoder : streamDecoder(source.stream);
    this.#isChange = source.stream?.envelope === StreamSource_Envelope.DEBEZIUM;
  }

  /** Has the schemas that the records name by number, before they are read. @throws what the registry throws. */
  async prepare(values: Iterable<Uint8Array | null>, registry: SchemaRegistry): Promise<void> {
    if (this.#decoder instanceof FramedDecoder) await this.#decoder.prepare(values, registry);
  }

  /**
   * @param appendedAtUs when the log took the record: its creation time where the source names no column.
   * @returns undefined for a record that says nothing: what Debezium sends after a deletion, for a log that is compacted.
   */
  read(value: Uint8Array | null, appendedAtUs: number): ReadRecord | Rejection | undefined {
    if (value === null) {
      return this.#isChange ? undefined : malformed("a record with a value was expected, it has none");
    }
    let members: Members;
    let change: Change | undefined;
    try {
      members = this.#decoder.decode(value);
      if (this.#isChange) {
        change = changeOf(members);
        members = change.row;
      }
    } catch (error) {
      if (error instanceof RecordMalformedError) return malformed(error.message);
      throw error;
    }
    const row: Scalar[] = [];
    for (const field of this.#source.fields) {
      const scalar = scalarOf(field.type, ownValue(members, field.name));
      if (scalar === undefined) {
        return malformed(`${field.name}: ${typeName(field)} was expected, got ${shown(ownValue(members, field.name))}`);
      }
      if (field.length !== undefined && Array.isArray(scalar) && scalar.length !== field.length) {
        return malformed(`${field.name}: ${field.length} elements were expected, got ${scalar.length}`);
      }
      row.push(scalar);
    }
    if (change !== undefined) this.#takeChange(row, change);
    return this.judge(row, appendedAtUs);
  }

  /** A row that is gone since the database said so, and not since its last update. */
  #takeChange(row: Scalar[], { isDeleted, changedAtUs }: Change): void {
    if (this.#source.deleted !== undefined) row[this.#source.deleted.index] = isDeleted;
    if (!isDeleted || changedAtUs === undefined) return;
    for (const time of [this.#eventTime, this.#createdAt]) {
      const held = row[time];
      if (time >= 0 && (typeof held !== "bigint" || held < changedAtUs)) row[time] = changedAtUs;
    }
  }

  /** Judges a row of the source's fields by its two times, and adds the derived columns. */
  judge(row: Row, appendedAtUs: number): ReadRecord | Rejection {
    const eventTimeUs = timeOf(row[this.#eventTime]);
    if (eventTimeUs === undefined) {
      return malformed(
        `${this.#source.eventTime}: a time between 1827 and 2112 was expected, got ${shown(row[this.#eventTime])}`,
      );
    }
    const createdAtUs = this.#createdAt < 0 ? appendedAtUs : timeOf(row[this.#createdAt]);
    if (createdAtUs === undefined) {
      return malformed(
        `${this.#source.createdAt}: a time between 1827 and 2112 was expected, got ${shown(row[this.#createdAt])}`,
      );
    }
    const lateUs = createdAtUs - eventTimeUs;
    if (lateUs > Number(this.#source.allowedLatenessUs)) {
      const detail = `it became known ${lateUs} µs after it happened, ${this.#source.allowedLatenessUs} µs are allowed`;
      return { reason: "TOO_LATE", detail };
    }
    if (-lateUs > Number(this.#source.maxFutureSkewUs)) {
      const detail = `it became known ${-lateUs} µs before it happened, ${this.#source.maxFutureSkewUs} µs are allowed`;
      return { reason: "FROM_THE_FUTURE", detail };
    }
    return { row: withDerivedColumns(this.#source, row), eventTimeUs, createdAtUs };
  }
}

/** The value in the form of its type; undefined where it does not fit. */
function scalarOf(type: ValueType, value: unknown): Scalar | undefined {
  if (value === undefined || value === null) return null;
  switch (type) {
    case ValueType.BOOL:
      return typeof value === "boolean" ? value : undefined;
    case ValueType.INT64:
      return integerOf(value);
    case ValueType.DOUBLE:
      return numberOf(value);
    case ValueType.FLOAT: {
      const number = numberOf(value);
      return number === undefined ? undefined : Math.fround(number);
    }
    case ValueType.STRING:
      return typeof value === "string" ? value : undefined;
    case ValueType.BYTES:
      if (value instanceof Uint8Array) return new Uint8Array(value);
      return typeof value === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0
        ? new Uint8Array(Buffer.from(value, "base64"))
        : undefined;
    case ValueType.TIMESTAMP:
      return typeof value === "string" ? instantOf(value) : integerOf(value);
  }
  const element = elementType(type);
  if (element === undefined || !Array.isArray(value)) return undefined;
  const list: Scalar[] = [];
  for (const item of value) {
    const scalar = scalarOf(element, item);
    if (scalar === undefined) return undefined;
    list.push(scalar);
  }
  return list;
}

function integerOf(value: unknown): bigint | undefined {
  let integer: bigint;
  if (typeof value === "bigint") integer = value;
  else if (typeof value === "number" && Number.isSafeInteger(value)) integer = BigInt(value);
  else if (typeof value === "string" && /^-?\d{1,19}$/.test(value)) integer = BigInt(value);
  else return undefined;
  return integer > int64Max || integer < int64Min ? undefined : integer;
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  return value === "NaN" || value === "Infinity" || value === "-Infinity" ? Number(value) : undefined;
}

/** Microseconds of an RFC 3339 text, with up to nine digits of a second (those beyond microseconds are cut). */
function instantOf(text: string): bigint | undefined {
  const match = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})$/.exec(text);
  if (match === null) return undefined;
  const [, date, time, fraction = "", zone = "Z"] = match;
  const milliseconds = Date.parse(`${date}T${time}${zone.toUpperCase()}`);
  if (Number.isNaN(milliseconds)) return undefined;
  return BigInt(milliseconds) * 1000n + BigInt(fraction.slice(0, 6).padEnd(6, "0"));
}

function timeOf(value: Scalar | undefined): number | undefined {
  if (typeof value !== "bigint") return undefined;
  const timeUs = Number(value);
  return Math.abs(timeUs) < largestTimeUs ? timeUs : undefined;
}

function malformed(detail: string): Rejection {
  return { reason: "MALFORMED", detail };
}

function shown(value: unknown): string {
  const text =
    typeof value === "bigint"
      ? String(value)
      : value === undefined
        ? "nothing"
        : (JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner)) ??
          typeof value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}

const typeNames: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(ValueType).map(([name, number]) => [number, name]),
);

function typeName(field: CompiledField): string {
  return typeNames[field.type] ?? `type ${field.type}`;
}
