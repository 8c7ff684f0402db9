import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

/** Where a generated file differs from what proto/ gives now. */
export interface GeneratedDifference {
  readonly path: string;
  readonly difference: "is missing" | "is of another text" | "is generated from no contract any more";
}

/**
 * Generates the code of all contracts into a temporary folder and compares it with what is checked in.
 *
 * @param root of the repository. @throws where buf fails; its own words go to standard error.
 */
export const staleGeneratedCode = (root: string): GeneratedDifference[] => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-generated-"));
  try {
    execFileSync("buf", ["generate", "--output", folder], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
    return compareFolders(join(folder, "libs/contracts/src/gen"), join(root, "libs/contracts/src/gen"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** @param fresh what should be there. @param present what is there. */
export const compareFolders = (fresh: string, present: string): GeneratedDifference[] => {
  const [expected, found] = [filesIn(fresh), filesIn(present)];
  return [...new Set([...expected, ...found])].sort().flatMap((path): GeneratedDifference[] => {
    if (!found.has(path)) {
      return [{ path, difference: "is missing" }];
    }
    if (!expected.has(path)) {
      return [{ path, difference: "is generated from no contract any more" }];
    }
    return readFileSync(join(fresh, path)).equals(readFileSync(join(present, path)))
      ? []
      : [{ path, difference: "is of another text" }];
  });
};

const filesIn = (folder: string): Set<string> =>
  new Set(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name))),
  );
