import { type Members, type RecordDecoder, RecordMalformedError } from "./record-decoder.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Records that are JSON objects. */
export const jsonDecoder: RecordDecoder = {
  names: undefined,
  decode: (value) => {
    let parsed: unknown;
    try {
      parsed = parseJson(utf8.decode(value));
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw new RecordMalformedError(`a JSON object was expected: ${detail}`);
    }
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
      const got = JSON.stringify(parsed, (_key, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner));
      throw new RecordMalformedError(`a JSON object was expected, got ${got.slice(0, 80)}`);
    }
    return parsed as Members;
  },
};

/** JSON whose whole numbers beyond 2^53 keep all their digits. */
const parseJson = (text: string): unknown => {
  const parsed: unknown = JSON.parse(text);
  if (!/\d{16}/.test(text)) return parsed;
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context?.source ?? "")
      : value,
  );
};
