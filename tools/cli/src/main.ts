import { MillraceError } from "@millrace/errors";
import { RpcError } from "@millrace/grpc";
import { Command, CommanderError } from "commander";
import colors from "picocolors";
import { applyFeaturesCommands } from "./commands/apply-features.ts";
import { compareCommand } from "./commands/compare.ts";
import { deadLettersCommand } from "./commands/dead-letters.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { erasureCommands } from "./commands/erasure.ts";
import { evaluateCommand } from "./commands/evaluate.ts";
import { explainCommand } from "./commands/explain.ts";
import { featureCommands } from "./commands/features.ts";
import { importFeastCommand } from "./commands/import-feast.ts";
import { inferenceCommands } from "./commands/inference.ts";
import { monitoringCommands } from "./commands/monitoring.ts";
import { packageCommands } from "./commands/packages.ts";
import { runReportCommands } from "./commands/run-reports.ts";
import { schemaCommand } from "./commands/schema.ts";
import { trainingCommands } from "./commands/training.ts";
import { trainingSetCommand } from "./commands/training-set.ts";
import { verifyCommand } from "./commands/verify.ts";
import { UsageError } from "./usage-error.ts";

const program = new Command("millrace")
  .description("Calls the services of a millrace platform, and does offline what needs no service.")
  .showHelpAfterError("(--help shows what is expected)")
  .configureHelp({ sortSubcommands: false, showGlobalOptions: true });

for (const command of [
  ...applyFeaturesCommands(),
  ...featureCommands(),
  schemaCommand(),
  importFeastCommand(),
  verifyCommand(),
  deadLettersCommand(),
  ...erasureCommands(),
  trainingSetCommand(),
  ...trainingCommands(),
  ...runReportCommands(),
  ...inferenceCommands(),
  explainCommand(),
  ...monitoringCommands(),
  compareCommand(),
  evaluateCommand(),
  ...packageCommands(),
  doctorCommand(),
]) {
  program.addCommand(command);
}
// Commander would end the process by itself, with the exit code of a command that failed.
const throwing = (command: Command): void => {
  command.exitOverride();
  for (const child of command.commands) throwing(child);
};
throwing(program);

/** What went wrong, for a person: the sentence, then each field with what was expected and what came. */
const explain = (error: unknown): string => {
  if (error instanceof RpcError || error instanceof MillraceError) {
    const reason = error instanceof RpcError ? error.reason : error.reasonName;
    const violations = error instanceof RpcError ? error.violations : (error.details.violations ?? []);
    return [
      `${error.code}${reason ? ` (${reason})` : ""}: ${error.message}`,
      ...violations.map(({ field, expected, got }) => `  ${field}: expected ${expected}, got ${got}`),
    ].join("\n");
  }
  if (error instanceof UsageError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
};

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(colors.red(explain(error)));
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
