import { readDescriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";

/** The manifest that another names as its `subject`; undefined where it names none or is no manifest. */
export const subjectOf = (manifest: Uint8Array): Digest | undefined => {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(manifest));
    return typeof value === "object" && value !== null && "subject" in value
      ? readDescriptor(value.subject)?.digest
      : undefined;
  } catch {
    return undefined;
  }
};
