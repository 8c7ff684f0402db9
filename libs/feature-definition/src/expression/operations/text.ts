import { quoteText } from "../duckdb-literal.ts";
import { called, infix, nullAwareOperation, type Operation, operation } from "../operation.ts";

const upperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const lowerLetters = upperLetters.toLowerCase();

/**
 * Functions of text. Characters are Unicode code points; lower and upper change the letters A to Z only, as collation C
 * does: other letters depend on the version of Unicode, which differs from engine to engine.
 */
export const text: readonly Operation[] = [
  operation("lower", ["STRING"], "STRING", {
    evaluate: (value) => value.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()),
    sql: (value) => `translate(${value}, '${upperLetters}', '${lowerLetters}')`,
  }),
  operation("upper", ["STRING"], "STRING", {
    evaluate: (value) => value.replace(/[a-z]+/g, (letters) => letters.toUpperCase()),
    sql: (value) => `translate(${value}, '${lowerLetters}', '${upperLetters}')`,
  }),
  ...["length", "char_length", "character_length"].map((name) =>
    operation(name, ["STRING"], "INT64", {
      evaluate: (value) => BigInt(characters(value).length),
      sql: called("length"),
    }),
  ),
  operation("octet_length", ["STRING"], "INT64", {
    evaluate: (value) => BigInt(Buffer.byteLength(value)),
    sql: called("strlen"),
  }),
  ...["btrim", "ltrim", "rtrim"].flatMap((name) => [
    operation(name, ["STRING"], "STRING", {
      evaluate: (value) => trim(value, " ", name !== "rtrim", name !== "ltrim"),
      sql: (value) => `${name === "btrim" ? "trim" : name}(${value}, ' ')`,
    }),
    operation(name, ["STRING", "STRING"], "STRING", {
      evaluate: (value, set) => trim(value, set, name !== "rtrim", name !== "ltrim"),
      sql: called(name === "btrim" ? "trim" : name),
    }),
  ]),
  operation("replace", ["STRING", "STRING", "STRING"], "STRING", {
    evaluate: (value, from, to) => (from === "" ? value : value.split(from).join(to)),
    sql: (value, from, to) =>
      `CASE WHEN ${from} = '' THEN ${value} || left(${to}, 0) ELSE replace(${value}, ${from}, ${to}) END`,
  }),
  operation("strpos", ["STRING", "STRING"], "INT64", {
    evaluate: (value, part) => {
      const unit = value.indexOf(part);
      return unit < 0 ? 0n : BigInt(characters(value.slice(0, unit)).length + 1);
    },
    sql: (value, part) => `CASE WHEN ${part} = '' AND ${value} IS NOT NULL THEN 1 ELSE strpos(${value}, ${part}) END`,
  }),
  operation("starts_with", ["STRING", "STRING"], "BOOL", {
    evaluate: (value, prefix) => value.startsWith(prefix),
    sql: called("starts_with"),
  }),
  operation("||", ["STRING", "STRING"], "STRING", { evaluate: (a, b) => a + b, sql: infix("||") }),
];

/** concat: nulls are skipped. */
export const concat = (count: number): Operation =>
  nullAwareOperation("concat", new Array(count).fill("STRING"), "STRING", {
    evaluate: (...values) => values.filter((value) => value !== null).join(""),
    sql: called("concat"),
  });

/** substring(text, start[, count]): from the start-th character, counted from 1; what lies before the text is empty. */
export const substring = (start: number, count: number | undefined): Operation => {
  const end = count === undefined ? undefined : Math.max(start + count, 1);
  const from = Math.max(start, 1);
  const length = end === undefined ? undefined : end - from;
  return operation(`substring:${start}:${count ?? ""}`, ["STRING"], "STRING", {
    evaluate: (value) =>
      characters(value)
        .slice(from - 1, end === undefined ? undefined : end - 1)
        .join(""),
    sql: (value) =>
      length === undefined ? `substring(${value}, ${from})` : `substring(${value}, ${from}, ${Math.max(length, 0)})`,
  });
};

/** left(text, n) and right(text, n): n characters, or all but −n. */
export const side = (name: "left" | "right", count: number): Operation =>
  operation(`${name}:${count}`, ["STRING"], "STRING", {
    evaluate: (value) => {
      const all = characters(value);
      if (name === "left") return all.slice(0, count).join("");
      return (count >= 0 ? all.slice(Math.max(all.length - count, 0)) : all.slice(-count)).join("");
    },
    sql: (value) => `${name}(${value}, ${count})`,
  });

/** split_part(text, delimiter, n): the n-th field, counted from 1; empty where there is none. */
export const splitPart = (delimiter: string, place: number): Operation =>
  operation(`split_part:${delimiter}:${place}`, ["STRING"], "STRING", {
    evaluate: (value) => value.split(delimiter)[place - 1] ?? "",
    sql: (value) => `split_part(${value}, ${quoteText(delimiter)}, ${place})`,
  });

/**
 * LIKE with a fixed pattern: `%` is any text, `_` one character, the escape character takes the next one literally.
 * @param escapeCharacter one character, or empty for none.
 */
export const like = (pattern: string, escapeCharacter: string, negated: boolean): Operation | undefined => {
  const source = likeSource(pattern, escapeCharacter);
  if (source === undefined) return undefined;
  const expression = new RegExp(source, "su");
  const clause = escapeCharacter === "" ? "" : ` ESCAPE ${quoteText(escapeCharacter)}`;
  return operation(`${negated ? "NOT LIKE" : "LIKE"}:${escapeCharacter}:${pattern}`, ["STRING"], "BOOL", {
    evaluate: (value) => expression.test(value) !== negated,
    sql: (value) => `(${value} ${negated ? "NOT LIKE" : "LIKE"} ${quoteText(pattern)}${clause})`,
  });
};

const likeSource = (pattern: string, escapeCharacter: string): string | undefined => {
  let source = "^";
  let escaped = false;
  for (const character of characters(pattern)) {
    if (!escaped && character === escapeCharacter) {
      escaped = true;
    } else if (!escaped && character === "%") {
      source += ".*";
    } else if (!escaped && character === "_") {
      source += ".";
    } else {
      source += character.replace(/[\\^$.*+?()[\]{}|/-]/g, (special) => (special === "-" ? "-" : `\\${special}`));
      escaped = false;
    }
  }
  return escaped ? undefined : `${source}$`;
};

const characters = (value: string): string[] => [...value];

const trim = (value: string, set: string, atStart: boolean, atEnd: boolean): string => {
  const all = characters(value);
  const removed = new Set(characters(set));
  let start = 0;
  let end = all.length;
  while (atStart && start < end && removed.has(all[start] ?? "")) start++;
  while (atEnd && end > start && removed.has(all[end - 1] ?? "")) end--;
  return all.slice(start, end).join("");
};
