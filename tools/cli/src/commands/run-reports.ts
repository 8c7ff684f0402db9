import { writeFile } from "node:fs/promises";
import {
  CompareRunsResponseSchema,
  RunState,
  TrainingService,
} from "@millrace/contracts/millrace/training/v1/training_service";
import type { Command } from "commander";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { enumName, printMessage, printTable } from "../output.ts";

export const runReportCommands = (): Command[] => [
  serviceCommand("training", "compare-runs <ids...>", "shows what runs measured, beside each other")
    .option("--json", "print protobuf JSON", false)
    .action(compare),
  serviceCommand(
    "training",
    "run-report <ids...>",
    "writes a page for a browser: of one run, or of several beside each other",
  )
    .option("--out <file>", "default: standard output")
    .action(report),
];

const compare = async (ids: string[], options: ConnectionOptions & { json: boolean }): Promise<void> => {
  await withClient(TrainingService, options, async (client) => {
    const answer = await client.compareRuns({ ids });
    if (options.json) return printMessage(CompareRunsResponseSchema, answer);
    const { runs } = answer;
    const metrics = [...new Set(runs.flatMap(({ evaluation }) => evaluation?.metrics.map(({ name }) => name) ?? []))];
    printTable([
      ["", ...runs.map(({ id }) => id)],
      ["spec", ...runs.map(({ spec }) => spec?.name ?? "")],
      ["state", ...runs.map(({ state }) => enumName(RunState, state).toLowerCase())],
      ["training rows", ...runs.map(({ trainingRows }) => String(trainingRows))],
      ...metrics.map((metric) => [
        metric,
        ...runs.map(({ evaluation }) => {
          const found = evaluation?.metrics.find(({ name }) => name === metric);
          return found === undefined ? "-" : found.value.toFixed(4);
        }),
      ]),
    ]);
  });
};

const report = async (ids: string[], options: ConnectionOptions & { out?: string }): Promise<void> => {
  await withClient(TrainingService, options, async (client) => {
    const { content } = await client.getRunReport({ ids }, { timeoutMs: 60_000 });
    if (options.out === undefined) {
      process.stdout.write(content);
      return;
    }
    await writeFile(options.out, content);
    console.log(`${options.out}: ${content.length} characters`);
  });
};
