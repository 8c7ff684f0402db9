import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ColumnSchema, ColumnValuesSchema } from "@millrace/contracts/millrace/feature/v1/column";
import { UsageError } from "./usage-error.ts";

const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?Z$/;

/** Collects an option that may be given many times. */
export const collect = (value: string, sofar: readonly string[]): readonly string[] => [...sofar, value];

/**
 * Columns from arguments such as `airport=ATL,ORD`, `distance=600`, `departed_at=2001-03-16T00:00:00Z`: whole numbers
 * become INT64, numbers DOUBLE, instants in UTC TIMESTAMP, true and false BOOL, all else STRING. `id:STRING=7` says it.
 */
export const columnsOf = (option: string, texts: readonly string[]): MessageInitShape<typeof ColumnSchema>[] =>
  texts.map((text) => {
    const parts = /^([A-Za-z_][A-Za-z0-9_]*)(?::([A-Z0-9]+))?=(.*)$/s.exec(text);
    if (parts === null) throw new UsageError(`${option} expects name=value or name:TYPE=value, got ${text}.`);
    const [, name = "", type, list = ""] = parts;
    const cells = list.split(",");
    return { name, values: valuesOf(option, text, type ?? guess(cells), cells) };
  });

const guess = (cells: readonly string[]): string => {
  if (cells.every((cell) => /^-?\d{1,18}$/.test(cell))) return "INT64";
  if (cells.every((cell) => cell !== "" && Number.isFinite(Number(cell)))) return "DOUBLE";
  if (cells.every((cell) => instant.test(cell))) return "TIMESTAMP";
  if (cells.every((cell) => cell === "true" || cell === "false")) return "BOOL";
  return "STRING";
};

const valuesOf = (
  option: string,
  text: string,
  type: string,
  cells: readonly string[],
): MessageInitShape<typeof ColumnValuesSchema> => {
  const fail = (): never => {
    throw new UsageError(`${option} ${text}: these are not values of type ${type}.`);
  };
  switch (type) {
    case "INT64":
      return {
        values: {
          case: "int64s",
          value: { values: cells.map((cell) => (/^-?\d+$/.test(cell) ? BigInt(cell) : fail())) },
        },
      };
    case "DOUBLE":
      return {
        values: {
          case: "doubles",
          value: { values: cells.map((cell) => (Number.isNaN(Number(cell)) ? fail() : Number(cell))) },
        },
      };
    case "BOOL":
      return {
        values: {
          case: "bools",
          value: { values: cells.map((cell) => (cell === "true" || cell === "false" ? cell === "true" : fail())) },
        },
      };
    case "TIMESTAMP":
      return {
        values: {
          case: "timestamps",
          value: { valuesUs: cells.map((cell) => (instant.test(cell) ? microsecondsOf(cell) : fail())) },
        },
      };
    case "STRING":
      return { values: { case: "strings", value: { values: [...cells] } } };
    default:
      throw new UsageError(
        `${option} ${text}: unknown type ${type}; expected STRING, INT64, DOUBLE, BOOL or TIMESTAMP.`,
      );
  }
};

/** Microseconds since 1970 of an instant in UTC; digits past the sixth decimal are cut. */
export const microsecondsOf = (text: string): bigint => {
  const fraction = /\.(\d+)Z$/.exec(text)?.[1] ?? "";
  const whole = instant.test(text) ? Date.parse(text.replace(/\.\d+Z$/, "Z")) : Number.NaN;
  if (Number.isNaN(whole)) throw new UsageError(`Expected an instant such as 2001-03-16T00:00:00Z, got ${text}.`);
  return BigInt(whole) * 1000n + BigInt(fraction.padEnd(6, "0").slice(0, 6) || "0");
};

/** Protobuf time of an instant in UTC. */
export const timestampOf = (text: string | undefined): { seconds: bigint; nanos: number } | undefined => {
  if (text === undefined) return undefined;
  const us = microsecondsOf(text.includes("T") ? text : `${text}T00:00:00Z`);
  return { seconds: us / 1_000_000n, nanos: Number(us % 1_000_000n) * 1000 };
};
