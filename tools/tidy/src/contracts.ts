import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { staleGeneratedCode } from "./generated-code.ts";

// `nx run tidy:contracts`: proto/ is well formed, breaks no caller, and the generated code is what it gives.

const root = join(import.meta.dirname, "../../..");
let failed = false;

const report = (what: string, passed: boolean, remedy: string): void => {
  console.log(`${passed ? "ok    " : "FAILED"}  ${what}${passed ? "" : `\n    do:  ${remedy}`}`);
  failed ||= !passed;
};

const buf = (...args: readonly string[]): boolean =>
  spawnSync("buf", args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] }).status === 0;

const git = (...args: readonly string[]): string =>
  execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();

/** What to compare with: the branch that this lands on, else the commit before; undefined where neither has contracts. */
const landedRevision = (): string | undefined => {
  const head = git("rev-parse", "HEAD");
  for (const name of [process.env.MILLRACE_BREAKING_AGAINST ?? "origin/main", "HEAD^"]) {
    try {
      const revision = git("rev-parse", "--verify", `${name}^{commit}`);
      if (revision !== head && git("ls-tree", revision, "proto/millrace") !== "") {
        return revision;
      }
    } catch {
      // No such revision here: a first commit has no parent, a clone may have no origin.
    }
  }
  return undefined;
};

report("buf lint", buf("lint"), "follow what it says; proto/ of others is left out in buf.yaml");

const landed = landedRevision();
if (landed === undefined) {
  console.log("ok      buf breaking: there are no contracts before these");
} else {
  report(
    `buf breaking against ${landed.slice(0, 12)}`,
    buf("breaking", "--against", `.git#ref=${landed}`),
    "add fields and methods, and reserve what goes; a new meaning needs a new name",
  );
}

const stale = staleGeneratedCode(root);
for (const { path, difference } of stale) {
  console.log(`  libs/contracts/src/gen/${path} ${difference}`);
}
report(
  "generated code is fresh",
  stale.length === 0,
  "npx buf generate, and commit proto/ and libs/contracts together",
);

process.exitCode = failed ? 1 : 0;
