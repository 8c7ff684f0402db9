import type { CompiledSource, Row, Scalar } from "../compiled.ts";

const utf8 = new TextEncoder();

/** The JSON record of a row, in the form that SourceRecordReader reads: exact for every type, nulls left out. */
export function writeSourceRecord(source: CompiledSource, row: Row): Uint8Array {
  let text = "{";
  for (let index = 0; index < source.fields.length; index++) {
    const value = row[index];
    const field = source.fields[index];
    if (value === undefined || value === null || field === undefined) continue;
    text += `${text.length === 1 ? "" : ","}${JSON.stringify(field.name)}:${jsonOf(value)}`;
  }
  return utf8.encode(`${text}}`);
}

function jsonOf(value: Scalar): string {
  if (value === null) return "null";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return `"${value}"`;
    return Object.is(value, -0) ? "-0.0" : String(value);
  }
  if (value instanceof Uint8Array) return `"${Buffer.from(value).toString("base64")}"`;
  if (typeof value === "object") return `[${value.map((item) => jsonOf(item)).join(",")}]`;
  return JSON.stringify(value);
}
