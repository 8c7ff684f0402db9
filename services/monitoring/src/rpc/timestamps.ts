import type { Timestamp } from "@bufbuild/protobuf/wkt";

/** Microseconds since 1970; undefined stays undefined. */
export const microsecondsOf = (timestamp: Timestamp | undefined): bigint | undefined =>
  timestamp === undefined ? undefined : timestamp.seconds * 1_000_000n + BigInt(Math.floor(timestamp.nanos / 1000));
