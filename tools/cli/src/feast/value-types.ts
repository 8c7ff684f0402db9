/** Feast's types that have an equal. INT32 is kept as INT64, which both meet. */
export const valueTypes: ReadonlyMap<string, string> = new Map(
  ["BOOL", "INT64", "DOUBLE", "FLOAT", "STRING", "BYTES"]
    .flatMap((type) => [
      [type, type],
      [`${type}_LIST`, `${type}_LIST`],
    ])
    .concat([
      ["INT32", "INT64"],
      ["INT32_LIST", "INT64_LIST"],
      ["UNIX_TIMESTAMP", "TIMESTAMP"],
      ["UNIX_TIMESTAMP_LIST", "TIMESTAMP_LIST"],
      ["UUID", "STRING"],
    ])
    .map(([from = "", to = ""]) => [from, to] as const),
);
