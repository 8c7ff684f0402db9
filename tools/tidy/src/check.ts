import { join } from "node:path";
import { allRules } from "./all-rules.ts";
import { formatFinding } from "./finding.ts";
import { openRepository } from "./repository.ts";

// `nx run tidy:check`: every rule over the whole repository.

const repository = openRepository(join(import.meta.dirname, "../../.."));
let count = 0;
for (const [name, rule] of Object.entries(allRules)) {
  const findings = rule(repository);
  count += findings.length;
  console.log(`${findings.length === 0 ? "ok    " : "FAILED"}  ${name}`);
  for (const finding of findings) {
    console.log(`  ${formatFinding(finding)}`);
  }
}
if (count > 0) {
  console.log(`${count} findings.`);
  process.exitCode = 1;
}
