import { isAbsolute, normalize, sep } from "node:path";
import type { Deployment } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";

/**
 * The files of the keys that a deployment trusts, relative to the declaration's folder; none where it demands no
 * signature. They lie inside of that folder, so that a declaration cannot be made to read other files of the machine.
 * @param violations is added to, for every path that leaves the folder.
 */
export const declaredKeys = (
  { signature }: Deployment,
  field: string,
  violations: FieldViolation[],
): readonly string[] => {
  for (const [index, path] of (signature?.trustedKeys ?? []).entries()) {
    const steps = normalize(path).split(sep);
    if (path !== "" && !isAbsolute(path) && steps[0] !== ".." && !path.includes("\0")) continue;
    const expected = "a file in the declaration's folder, relative to it";
    violations.push({ field: `${field}.signature.trusted_keys[${index}]`, expected, got: path });
  }
  return signature?.trustedKeys ?? [];
};
