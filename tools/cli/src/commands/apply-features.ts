import { execFileSync } from "node:child_process";
import { createInterface } from "node:readline/promises";
import {
  type Change,
  Change_Kind,
  FeatureService,
  type PlanResponse,
  PlanResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Command } from "commander";
import colors from "picocolors";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { printMessage } from "../output.ts";
import { UsageError } from "../usage-error.ts";

const command = (usage: string, description: string): Command => serviceCommand("feature-serving", usage, description);

/** Exit code of `plan --detailed-exitcode` where there are changes; 0 says that there are none. */
const changesExitCode = 3;

export const applyFeaturesCommands = (): Command[] => [
  command("plan <folder>", "says what applying a feature repository would do")
    .option("--json", "print protobuf JSON", false)
    .option("--detailed-exitcode", `exit with ${changesExitCode} where there are changes`, false)
    .action(plan),
  command("apply <folder>", "plans, asks, and puts a feature repository in force")
    .option("--revision <revision>", "git revision of the definitions; default: the folder's")
    .option("--yes", "do not ask: needed where there is no terminal to ask on and something is deleted", false)
    .option("--json", "print the plan as protobuf JSON", false)
    .action(apply),
];

/** Loaded when it is needed: reading features needs no parser of definitions. */
const load = async (folder: string) => (await import("@millrace/feature-definition")).loadRepository(folder);

const plan = async (
  folder: string,
  options: ConnectionOptions & { json: boolean; detailedExitcode: boolean },
): Promise<void> => {
  const repository = await load(folder);
  const answer = await withClient(FeatureService, options, (client) => client.plan({ repository }));
  print(answer, options.json);
  if (options.detailedExitcode && answer.changes.length > 0) process.exitCode = changesExitCode;
};

const apply = async (
  folder: string,
  options: ConnectionOptions & { revision?: string; yes: boolean; json: boolean },
): Promise<void> => {
  const repository = await load(folder);
  await withClient(FeatureService, options, async (client) => {
    const planned = await client.plan({ repository });
    print(planned, options.json);
    if (planned.changes.length > 0 && !options.yes && !(await confirmed(planned.changes))) {
      throw new UsageError("Nothing was applied.");
    }
    const answer = await client.apply({
      repository,
      revision: options.revision ?? gitRevision(folder),
      expectedRegistryVersion: planned.registryVersion,
    });
    const summary = `registry version ${answer.registryVersion}, definitions ${answer.definitionsHash.slice(0, 12)}`;
    if (options.json) console.error(summary);
    else console.log(summary);
  });
};

/** Asks on a terminal. Elsewhere nobody can answer: what deletes nothing goes ahead, as a pipeline expects. */
const confirmed = async (changes: readonly Change[]): Promise<boolean> => {
  if (!process.stdin.isTTY) {
    if (changes.every(({ kind }) => kind !== Change_Kind.DELETE)) return true;
    throw new UsageError("The plan deletes something, and there is no terminal to ask on: apply with --yes.");
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await terminal.question("Apply these changes? Only yes is taken for yes: ")).trim() === "yes";
  } finally {
    terminal.close();
  }
};

const print = (answer: PlanResponse, isJson: boolean): void => {
  if (isJson) printMessage(PlanResponseSchema, answer);
  else console.log(planText(answer.changes));
};

/** A plan for a person: each change with what follows from it, then how many there are. */
export const planText = (changes: readonly Change[]): string => {
  if (changes.length === 0) return "No changes: these definitions are in force.";
  const count = (kind: Change_Kind) => changes.filter((change) => change.kind === kind).length;
  const counts = `${count(Change_Kind.CREATE)} to create, ${count(Change_Kind.UPDATE)} to change, ${count(Change_Kind.DELETE)} to delete.`;
  return [...changes.flatMap(changeLines), "", `Plan: ${counts}`].join("\n");
};

const changeLines = (change: Change): string[] => {
  const mark =
    change.kind === Change_Kind.CREATE
      ? colors.green("+")
      : change.kind === Change_Kind.DELETE
        ? colors.red("-")
        : colors.yellow("~");
  const isChangedView = change.newVersion && change.kind === Change_Kind.UPDATE;
  const size = `${change.typicalBytesPerKey} bytes a key online, at most ${change.worstBytesPerKey}`;
  const notes = [
    ...change.detail.split("; ").filter(Boolean),
    ...(isChangedView ? ["new version: the one before answers until it has caught up"] : []),
    ...(change.needsBackfill ? [backfillText(change)] : []),
    ...(change.worstBytesPerKey > 0n ? [size] : []),
    ...change.dependents.map(({ object, name, consequence }) => `${object} ${name}: ${consequence}`),
  ];
  return [`${mark} ${change.object} ${change.name}`, ...notes.map((note) => `    ${note}`)];
};

const backfillText = ({ name, backfillRows, backfillSeconds }: Change): string => {
  const how = `needs history: millrace materialize ${name}`;
  return backfillRows === 0n ? how : `${how} (${backfillRows} facts, about ${durationText(backfillSeconds)})`;
};

const durationText = (seconds: number): string => {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
};

const gitRevision = (folder: string): string => {
  try {
    return execFileSync("git", ["-C", folder, "rev-parse", "HEAD"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    // The folder is in no git repository: the definitions' hash is all the lineage there is.
    return "";
  }
};
