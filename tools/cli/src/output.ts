import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import colors from "picocolors";

/** Prints a message as protobuf JSON. */
export const printMessage = <D extends DescMessage>(schema: D, message: MessageShape<D>): void => {
  console.log(toJsonString(schema, message, { prettySpaces: 2 }));
};

/** Prints rows whose columns stand under each other; the first row is the heading. */
export const printTable = (rows: readonly (readonly string[])[]): void => {
  const widths = rows.reduce<number[]>(
    (sofar, row) => row.map((cell, at) => Math.max(sofar[at] ?? 0, cell.length)),
    [],
  );
  rows.forEach((row, index) => {
    const text = row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd();
    console.log(index === 0 ? colors.dim(text) : text);
  });
};

/** A line about work that goes on: rewritten on a terminal, silent elsewhere. */
export const showProgress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${colors.dim(text)}`);
};

export const endProgress = (): void => {
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
};

/** The name of an enum's value. */
export const enumName = (values: Readonly<Record<string, number>>, value: number): string =>
  Object.entries(values).find(([, number]) => number === value)?.[0] ?? String(value);

/** Protobuf time as text; empty where it is absent. */
export const timeText = (time: { readonly seconds: bigint; readonly nanos: number } | undefined): string =>
  time === undefined ? "" : new Date(Number(time.seconds) * 1000 + time.nanos / 1e6).toISOString();

/** A size in bytes for a person, in binary units. */
export const sizeText = (bytes: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
};
