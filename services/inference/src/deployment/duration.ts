import { DeclarationInvalidError } from "./declaration-invalid-error.ts";

const unitMs: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * A duration such as `500us`, `5ms`, `1.5s` or `2m`, in ms.
 * @throws DeclarationInvalidError naming the field.
 */
export const durationMs = (field: string, text: string): number => {
  const match = /^(\d+(?:\.\d+)?)(us|ms|s|m|h)$/.exec(text);
  const unit = unitMs[match?.[2] ?? ""];
  if (match === null || unit === undefined) {
    throw new DeclarationInvalidError([{ field, expected: "a duration such as 500us, 5ms, 30s or 2m", got: text }]);
  }
  return Number(match[1]) * unit;
};
