import {
  type ModelPackage,
  ModelPackageSchema,
  Task,
  type TensorSpec,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { ModelPackageReader } from "@millrace/model-package";
import { Command } from "commander";
import { enumName, printMessage, printTable, sizeText, timeText } from "../output.ts";
import { packageLocation, packageReference } from "../package-location.ts";
import { type StoreOptions, storeCommand, withStore } from "../package-store.ts";
import { packageLineageCommands } from "./package-lineage.ts";
import { packagePromotionCommands } from "./package-promotion.ts";
import { packageSigningCommands } from "./package-signing.ts";
import { packageTransferCommands } from "./package-transfer.ts";

export const packageCommands = (): Command[] => {
  const root = new Command("package").description("makes, moves, signs and shows model packages, without a service");
  const commands = [
    ...packageTransferCommands(),
    storeCommand("show <reference>", "verifies a package and says what is in it")
      .option("--json", "print millrace.json, what the package says of its model", false)
      .action(show),
    storeCommand("tags <repository>", "lists the tags of a repository").action(tags),
    storeCommand("tag <reference> <tag>", "points one more tag at a package").action(tag),
    ...packageLineageCommands(),
    ...packagePromotionCommands(),
    ...packageSigningCommands(),
  ];
  for (const command of commands) root.addCommand(command);
  return [root];
};

const show = async (text: string, options: StoreOptions & { readonly json: boolean }): Promise<void> => {
  const { storeUrl, reference } = packageReference(text, options.store);
  await withStore(storeUrl, async (store) => {
    const reader = await store.pull(reference);
    if (options.json) return printMessage(ModelPackageSchema, reader.manifest);
    console.log(`${reader.reference}\n`);
    printTable([["field", "value"], ...facts(reader.manifest)]);
    printFiles(reader);
    printTensors(reader.manifest);
    const metrics = reader.manifest.evaluation?.metrics ?? [];
    if (metrics.length > 0) {
      console.log();
      printTable([
        ["metric", "value", "rows"],
        ...metrics.map(({ name, value, rows }) => [name, value.toPrecision(4), String(rows)]),
      ]);
    }
  });
};

const facts = ({ name, description, task, features, lineage }: ModelPackage): string[][] =>
  [
    ["model", name],
    ["description", description],
    ["task", task === Task.TASK_UNSPECIFIED ? "" : enumName(Task, task).toLowerCase()],
    ["features", features === undefined ? "" : `${features.featureService} ${features.featureServiceVersion}`],
    ["trained by", lineage?.trainer ?? ""],
    ["trained on", lineage === undefined || lineage.trainingRows === 0n ? "" : `${lineage.trainingRows} rows`],
    ["newest event", timeText(lineage?.newestEvent)],
    ["code revision", lineage?.codeRevision ?? ""],
  ].filter(([, value]) => value !== "");

const printFiles = ({ files }: ModelPackageReader): void => {
  console.log();
  printTable([
    ["file", "size", "digest"],
    ...files.map(({ path, sizeBytes, digest }) => [path, sizeText(sizeBytes), digest]),
  ]);
};

const printTensors = ({ signature }: ModelPackage): void => {
  const row = (kind: string) => (spec: TensorSpec) => [kind, spec.name, spec.datatype, `[${spec.shape.join(", ")}]`];
  const rows = [...(signature?.inputs ?? []).map(row("input")), ...(signature?.outputs ?? []).map(row("output"))];
  if (rows.length > 0) {
    console.log();
    printTable([["tensor", "name", "datatype", "shape"], ...rows]);
  }
};

const tags = async (text: string, options: StoreOptions): Promise<void> => {
  const { storeUrl, repository } = packageLocation(text, options.store);
  await withStore(storeUrl, async (store) => {
    const names = await store.tags(repository);
    const resolved = await Promise.all(names.map((name) => store.resolve(`${repository}:${name}`)));
    printTable([["tag", "digest"], ...names.map((name, index) => [name, resolved[index]?.digest ?? ""])]);
  });
};

const tag = async (text: string, name: string, options: StoreOptions): Promise<void> => {
  const { storeUrl, repository, reference } = packageReference(text, options.store);
  await withStore(storeUrl, async (store) => {
    const { digest } = await store.resolve(reference);
    await store.tag(repository, digest, name);
    console.log(`${repository}:${name} is ${digest}`);
  });
};
