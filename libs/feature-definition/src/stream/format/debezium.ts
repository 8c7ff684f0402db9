import { connectTimes } from "./connect-times.ts";
import { type Members, RecordMalformedError } from "./record-decoder.ts";

/** What a change event says of its row. */
export interface Change {
  readonly row: Members;
  readonly isDeleted: boolean;
  /** When the database changed, in microseconds; undefined where the event does not say it. */
  readonly changedAtUs: bigint | undefined;
}

/**
 * The row of a change event of Debezium: after a create, a snapshot's read and an update what it became, after a delete
 * what it was. https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-change-events-value
 * JSON may have its schema beside it; then its times are read by their unit.
 * @throws RecordMalformedError for what is no such event, a truncation among them: it names no row.
 */
export const changeOf = (members: Members): Change => {
  const event = "payload" in members && !("op" in members) ? object(members.payload, "payload") : members;
  const { op } = event;
  if (op !== "c" && op !== "r" && op !== "u" && op !== "d") {
    const expected = "a change event of Debezium with op c, r, u or d was expected";
    throw new RecordMalformedError(`${expected}, got op ${JSON.stringify(op) ?? "nothing"}`);
  }
  const isDeleted = op === "d";
  const side = isDeleted ? "before" : "after";
  const row = object(event[side], side);
  return {
    row: "payload" in members ? withTimes(row, members.schema, side) : row,
    isDeleted,
    changedAtUs: changedAtUs(event),
  };
};

const object = (value: unknown, name: string): Members => {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Members;
  throw new RecordMalformedError(`${name}: a row was expected, got ${JSON.stringify(value) ?? "nothing"}`);
};

/** The database's time where the event has it, else Debezium's. */
const changedAtUs = (event: Members): bigint | undefined => {
  const source: Members = typeof event.source === "object" && event.source !== null ? (event.source as Members) : {};
  for (const from of [source, event]) {
    const microseconds = whole(from.ts_us);
    if (microseconds !== undefined) return microseconds;
    const milliseconds = whole(from.ts_ms);
    if (milliseconds !== undefined) return milliseconds * 1000n;
  }
  return undefined;
};

const whole = (value: unknown): bigint | undefined => {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : undefined;
};

/** The row with times in microseconds, by the Connect schema that stands beside a JSON event. */
const withTimes = (row: Members, schema: unknown, side: string): Members => {
  const units = new Map<string, string>();
  for (const field of fieldsOf(fieldsOf(schema).find((one) => Reflect.get(one, "field") === side))) {
    const unit = connectTimes[String(Reflect.get(field, "name"))];
    if (unit !== undefined) units.set(String(Reflect.get(field, "field")), unit);
  }
  if (units.size === 0) return row;
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => {
      const count = whole(value);
      const unit = units.get(name);
      if (count === undefined || unit === undefined || unit === "timestamp-micros") return [name, value];
      return [name, unit === "timestamp-millis" ? count * 1000n : count / 1000n];
    }),
  );
};

const fieldsOf = (schema: unknown): readonly object[] => {
  const fields: unknown = typeof schema === "object" && schema !== null ? Reflect.get(schema, "fields") : undefined;
  return Array.isArray(fields) ? fields.filter((one) => typeof one === "object" && one !== null) : [];
};
