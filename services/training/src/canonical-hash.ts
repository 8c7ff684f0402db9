import { createHash } from "node:crypto";

/** SHA-256, in hexadecimal digits, of a JSON value with its keys sorted: equal content gives an equal hash. */
export const canonicalHash = (value: unknown): string => createHash("sha256").update(canonical(value)).digest("hex");

const canonical = (value: unknown): string => {
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(",")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
};
