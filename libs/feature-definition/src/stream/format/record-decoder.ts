/** The members of a record by name: what JSON can hold, and bigint for whole numbers and Uint8Array for bytes. */
export type Members = Readonly<Record<string, unknown>>;

/** Thrown where a record is none of its format: what was expected, and what came. */
export class RecordMalformedError extends Error {}

/** Reads the values of a topic's records. */
export interface RecordDecoder {
  /** The names of all members that a record can have; undefined where any may come. */
  readonly names: readonly string[] | undefined;
  /** @throws RecordMalformedError */
  decode(value: Uint8Array): Members;
}

/** What the schema of a source's stream is, and does not fit. */
export class StreamSchemaInvalidError extends Error {}
