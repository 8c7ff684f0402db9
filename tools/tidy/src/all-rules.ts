import type { Rule } from "./finding.ts";
import { errorReasonsAreDocumented } from "./rules/error-reasons.ts";
import { filesAreShort } from "./rules/file-length.ts";
import { importsAreDeclared } from "./rules/imports-are-declared.ts";
import { importsPointDown } from "./rules/imports-point-down.ts";
import { namesSaySomething } from "./rules/names.ts";
import { noDefaultExports } from "./rules/no-default-exports.ts";
import { readmePathsExist } from "./rules/readme-paths.ts";
import { settingsAndMetricsAreDocumented } from "./rules/settings-and-metrics.ts";
import { versionsAreExact } from "./rules/versions.ts";
import { textIsForEveryone } from "./rules/words.ts";

/** Every rule, by the name that it is reported under. */
export const allRules: Readonly<Record<string, Rule>> = {
  "imports are declared": importsAreDeclared,
  "imports point down": importsPointDown,
  "names say something": namesSaySomething,
  "no default exports": noDefaultExports,
  "files are short": filesAreShort,
  "versions are exact": versionsAreExact,
  "text is for everyone": textIsForEveryone,
  "README paths exist": readmePathsExist,
  "error reasons are documented": errorReasonsAreDocumented,
  "settings and metrics are documented": settingsAndMetricsAreDocumented,
};
