import type { Finding, Rule } from "../finding.ts";
import { isTestFile } from "../imports.ts";

const longest = 350;

/** A file holds one thing and can be read in one go; a suite of tests is as long as what it tests is wide. */
export const filesAreShort: Rule = (repository) =>
  repository
    .files(/^(libs|services|tools|deploy)\/.*\.ts$/)
    .filter(({ path }) => !path.includes("/src/gen/") && !isTestFile(path))
    .flatMap(({ path, text }): Finding[] => {
      const lines = text.split("\n").length;
      return lines <= longest
        ? []
        : [
            {
              path,
              problem: `has ${lines} lines; ${longest} are the most`,
              why: "one concept a file: longer ones hold several, or hide one",
              remedy: "move a part that has a name of its own to a file of that name",
            },
          ];
    });
