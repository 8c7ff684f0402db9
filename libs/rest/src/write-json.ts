/** What is written as JSON: whole numbers may be bigint, and `raw` is a piece that is JSON already. */
export type WritableJson =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | RawJson
  | readonly WritableJson[]
  | { readonly [key: string]: WritableJson };

/** A piece of JSON text. */
export class RawJson {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/**
 * Writes JSON with exact 64-bit integers, and with `NaN`, `Infinity` and `-Infinity` as bare words, as Triton writes them
 * and its clients read them. Keys without a value are left out.
 */
export const writeJson = (value: WritableJson): string => {
  if (value === null || value === undefined) return "null";
  if (value instanceof RawJson) return value.text;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "object") return String(value);
  if (isArray(value)) return `[${value.map(writeJson).join(",")}]`;
  const parts: string[] = [];
  for (const [key, each] of Object.entries(value)) {
    if (each !== undefined) parts.push(`${JSON.stringify(key)}:${writeJson(each)}`);
  }
  return `{${parts.join(",")}}`;
};

const isArray = (value: object): value is readonly WritableJson[] => Array.isArray(value);
