/** A source of random whole numbers from 0 up to but not including `below`. */
export type Random = (below: number) => number;

/** A generator with a seed (mulberry32). */
export const seededRandom = (seed: number): Random => {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
};

export type RandomType = "BOOL" | "INT64" | "DOUBLE" | "STRING" | "TIMESTAMP";

/** The columns that random expressions read. */
export const randomColumns: Readonly<Record<RandomType, readonly string[]>> = {
  BOOL: ["b", "c"],
  INT64: ["i", "j"],
  DOUBLE: ["d", "e"],
  STRING: ["s", "u"],
  TIMESTAMP: ["t", "v"],
};

/**
 * A random expression of the subset, spelled so that PostgreSQL gives every part the type that it has here: literals
 * are cast, because PostgreSQL's bare ones are INTEGER and NUMERIC.
 */
export const randomExpression = (random: Random, type: RandomType, depth: number): string => {
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const part = (of: RandomType): string => randomExpression(random, of, depth - 1);
  if (depth === 0) return random(4) === 0 ? randomLiteral(random, type) : pick(randomColumns[type]);
  if (random(6) === 0) {
    return pick([
      () =>
        `CASE WHEN ${part("BOOL")} THEN ${part(type)} WHEN ${part("BOOL")} THEN ${part(type)} ELSE ${part(type)} END`,
      () => `CASE WHEN ${part("BOOL")} THEN ${part(type)} END`,
      () => `CASE ${part("INT64")} WHEN ${randomLiteral(random, "INT64")} THEN ${part(type)} ELSE ${part(type)} END`,
      () => `COALESCE(${part(type)}, ${part(type)})`,
      () => `NULLIF(${part(type)}, ${part(type)})`,
      () => `${pick(["GREATEST", "LEAST"])}(${part(type)}, ${part(type)}, ${part(type)})`,
    ])();
  }
  const forms: Readonly<Record<RandomType, readonly (() => string)[]>> = {
    BOOL: [
      () => `(${part("BOOL")} AND ${part("BOOL")})`,
      () => `(${part("BOOL")} OR ${part("BOOL")} OR ${part("BOOL")})`,
      () => `(NOT ${part("BOOL")})`,
      () => {
        const of = pick(["INT64", "DOUBLE", "STRING", "TIMESTAMP", "BOOL"] as const);
        return `(${part(of)} ${pick(["=", "<>", "<", "<=", ">", ">="])} ${part(of)})`;
      },
      () => `(${part("INT64")} ${pick(["<", "="])} ${part("DOUBLE")})`,
      () => `(${part("DOUBLE")} BETWEEN ${part("DOUBLE")} AND ${part("DOUBLE")})`,
      () => `(${part("INT64")} NOT IN (${randomLiteral(random, "INT64")}, ${randomLiteral(random, "INT64")}))`,
      () => `(${part("STRING")} IN (${randomLiteral(random, "STRING")}, ${randomLiteral(random, "STRING")}))`,
      () =>
        `(${part("STRING")} ${pick(["LIKE", "NOT LIKE"])} ${pick(["'a%'", "'%b_'", "'_'", "'%\\%%'", "''", "'%日%'", "'a.c'"])})`,
      () => `(${part(pick(["INT64", "STRING", "DOUBLE", "BOOL"] as const))} IS ${pick(["NULL", "NOT NULL"])})`,
      () => `(${part("BOOL")} IS ${pick(["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN"])})`,
      () => {
        const of = pick(["INT64", "DOUBLE", "STRING"] as const);
        return `(${part(of)} IS ${pick(["", "NOT "])}DISTINCT FROM ${part(of)})`;
      },
      () => `starts_with(${part("STRING")}, ${part("STRING")})`,
    ],
    INT64: [
      () => `(${part("INT64")} ${pick(["+", "-", "*", "/", "%"])} ${part("INT64")})`,
      () => `(${part("INT64")} ${pick(["+", "-", "*", "/", "%"])} ${randomLiteral(random, "INT64")})`,
      () => `(- ${part("INT64")})`,
      () => `abs(${part("INT64")})`,
      () => `mod(${part("INT64")}, ${part("INT64")})`,
      () => `CAST(${part("DOUBLE")} AS bigint)`,
      () => `(${part("BOOL")})::int::bigint`,
      () => `(${part("STRING")})::bigint`,
      () => `length(${part("STRING")})::bigint`,
      () => `octet_length(${part("STRING")})::bigint`,
      () => `position(${part("STRING")} IN ${part("STRING")})::bigint`,
      () =>
        `extract(${pick(["year", "isoyear", "quarter", "month", "week", "doy", "day", "dow", "isodow", "hour", "minute", "microseconds"])} FROM ${part("TIMESTAMP")})::bigint`,
      () =>
        `extract(${pick(["hour", "dow", "day"])} FROM ${part("TIMESTAMP")} AT TIME ZONE ${pick(["'America/New_York'", "'Asia/Kolkata'", "'UTC'"])})::bigint`,
    ],
    DOUBLE: [
      () => `(${part("DOUBLE")} ${pick(["+", "-", "*", "/"])} ${part("DOUBLE")})`,
      () => `(${part("DOUBLE")} ${pick(["+", "-", "*", "/"])} ${part("INT64")})`,
      () => `(- ${part("DOUBLE")})`,
      () => `${pick(["abs", "ceil", "floor", "round", "trunc", "sign", "sqrt"])}(${part("DOUBLE")})`,
      () => `sqrt(${part("INT64")})`,
      () => `(${part("INT64")})::double precision`,
      () => `(${part("STRING")})::double precision`,
      () => `extract(${pick(["second", "epoch", "milliseconds"])} FROM ${part("TIMESTAMP")})::double precision`,
      () => `extract(epoch FROM ${part("TIMESTAMP")} - ${part("TIMESTAMP")})::double precision`,
    ],
    STRING: [
      () => `(${part("STRING")} || ${part("STRING")})`,
      () => `concat(${part("STRING")}, ${part("STRING")})`,
      () => `${pick(["lower", "upper", "btrim", "ltrim", "rtrim"])}(${part("STRING")})`,
      () => `trim(${pick(["LEADING", "TRAILING", "BOTH"])} ${pick(["'a'", "'ab'", "'日'"])} FROM ${part("STRING")})`,
      () => `replace(${part("STRING")}, ${part("STRING")}, ${part("STRING")})`,
      () => `substring(${part("STRING")}, ${random(5) - 2}, ${random(4)})`,
      () => `substr(${part("STRING")}, ${random(5) - 2})`,
      () => `${pick(["left", "right"])}(${part("STRING")}, ${random(7) - 3})`,
      () => `split_part(${part("STRING")}, ${pick(["'b'", "'bc'", "' '"])}, ${random(3) + 1})`,
      () => `(${part("INT64")})::text`,
      () => `(${part("BOOL")})::text`,
    ],
    TIMESTAMP: [
      () =>
        `date_trunc(${pick(["'second'", "'minute'", "'hour'", "'day'", "'week'", "'month'", "'quarter'", "'year'"])}, ${part("TIMESTAMP")})`,
      () =>
        `(${part("TIMESTAMP")} ${pick(["+", "-"])} INTERVAL ${pick(["'90 minutes'", "'1 day 2 hours'", "'-3 seconds'", "'2 weeks'"])})`,
      // A TIMESTAMP is never infinite here, as it may be in PostgreSQL.
      () => `to_timestamp(CASE WHEN d BETWEEN -1e9 AND 1e9 THEN d END)`,
      () =>
        `((${part("TIMESTAMP")} AT TIME ZONE 'America/New_York') AT TIME ZONE ${pick(["'Asia/Kolkata'", "'Australia/Lord_Howe'"])})`,
    ],
  };
  return pick(forms[type])();
};

/** Functions whose last digit depends on the library: only ever outermost, where a tolerance can judge them. */
export const randomTranscendental = (random: Random): string => {
  const names = ["exp", "ln", "log", "sin", "cos", "tan", "asin", "acos", "atan", "cbrt", "degrees", "radians"];
  const argument = randomExpression(random, "DOUBLE", 1);
  const name = names[random(names.length + 2)];
  if (name !== undefined) return `${name}(${argument})`;
  return `${random(2) === 0 ? "power" : "atan2"}(${argument}, ${randomExpression(random, "DOUBLE", 1)})`;
};

const texts = [
  "",
  "a",
  "ab",
  "abc",
  "A b",
  " a ",
  "日本",
  "𝄞b",
  "b日",
  "12",
  "-7",
  "1.5",
  "1e3",
  "x%y",
  "O'Neil",
  "\\",
];

const randomLiteral = (random: Random, type: RandomType): string => {
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  switch (type) {
    case "BOOL":
      return pick(["TRUE", "FALSE", "NULL::boolean"]);
    case "INT64":
      return pick([
        "0::bigint",
        "1::bigint",
        "7::bigint",
        "(-1)::bigint",
        "2::bigint",
        "9223372036854775807::bigint",
        "NULL::bigint",
      ]);
    case "DOUBLE":
      return pick(["0.5", "2.5", "0", "1e3", "-3.25", "1e-3"].map((text) => `'${text}'::double precision`));
    case "STRING":
      return `'${pick(texts).replaceAll("'", "''")}'::text`;
    case "TIMESTAMP":
      return pick(["'2001-01-31 23:59:59.5+00'::timestamptz", "'1969-07-20 20:17:40+00'::timestamptz"]);
  }
};

/** A value of a column; now and then null, and often one of those that engines disagree about. */
export const randomValue = (random: Random, type: RandomType): null | boolean | bigint | number | string => {
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  if (random(7) === 0) return null;
  switch (type) {
    case "BOOL":
      return random(2) === 0;
    case "INT64":
      return pick([
        0n,
        1n,
        -1n,
        7n,
        -7n,
        100n,
        4611686018427387904n,
        9223372036854775807n,
        -9223372036854775808n,
        BigInt(random(1000) - 500),
      ]);
    case "DOUBLE":
      return pick([
        0,
        -0,
        1,
        -1,
        0.5,
        1.5,
        2.5,
        -2.5,
        1e15,
        9.3e18,
        1e-9,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        random(100000) / 64 - 500,
      ]);
    case "STRING":
      return pick(texts);
    case "TIMESTAMP":
      return (
        BigInt(pick([0, 1, -1, 978307200, 985935600, 1004248800, 951782400, -14182940, random(2 ** 31)])) * 1_000_000n +
        BigInt(random(3) * 250_001)
      );
  }
};
