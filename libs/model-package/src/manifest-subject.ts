import { readDescriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import { parseObject } from "./parse-object.ts";

/** The manifest that another names as its `subject`; undefined where it names none or is no manifest. */
export const subjectOf = (manifest: Uint8Array): Digest | undefined =>
  readDescriptor(parseObject(manifest)?.subject)?.digest;
