import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { stringify } from "yaml";
import { z } from "zod";
import { feastRegistry } from "../feast/feast-registry.ts";
import { type Imported, importRegistry } from "../feast/import-registry.ts";
import { UsageError } from "../usage-error.ts";

/** Larger dumps than this are not read. */
const largestDumpBytes = 64 * 1024 * 1024;

/** Writes a feature repository from what `feast registry-dump` prints, and says what has no equal. */
export const importFeastCommand = (): Command =>
  new Command("import-feast")
    .description("writes a feature repository from a Feast registry, and says what has no equal")
    .argument("<dump>", "a file with what `feast registry-dump` prints")
    .requiredOption(
      "--out <folder>",
      "the folder to write features.yaml to; a file that is there is kept unless --force",
    )
    .option("--force", "replace features.yaml", false)
    .action(importFeast);

const importFeast = async (dump: string, { out, force }: { out: string; force: boolean }): Promise<void> => {
  const { size } = await stat(dump);
  if (size > largestDumpBytes)
    throw new UsageError(`${dump}: expected at most ${largestDumpBytes} bytes, got ${size}.`);
  const imported = importRegistry(registryOf(dump, await readFile(dump, "utf8")));
  const file = join(out, "features.yaml");
  await mkdir(out, { recursive: true });
  try {
    await writeFile(file, textOf(imported), { flag: force ? "w" : "wx" });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      throw new UsageError(`${file} is there already: --force replaces it.`);
    }
    throw error;
  }
  const { entities, sources, featureViews, featureServices } = imported.repository;
  const count = (list: unknown, what: string) => `${Array.isArray(list) ? list.length : 0} ${what}`;
  console.log(
    `${file}: ${count(entities, "entities")}, ${count(sources, "sources")}, ${count(featureViews, "feature views")}, ${count(featureServices, "feature services")}`,
  );
  for (const note of imported.notes) console.log(`- ${note}`);
  const { compileRepository, loadRepository } = await import("@millrace/feature-definition");
  compileRepository(await loadRepository(out));
  console.log("The definitions compile. Next: millrace plan, with the files below the service's data root.");
};

const registryOf = (dump: string, text: string) => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${dump}: expected JSON, as feast registry-dump prints it; ${(error as Error).message}.`);
  }
  const read = feastRegistry.safeParse(json);
  if (!read.success) throw new UsageError(`${dump}: no registry of Feast:\n${z.prettifyError(read.error)}`);
  return read.data;
};

const textOf = ({ repository, code }: Imported): string => {
  const comments = [...code].map(([name, python]) =>
    [`On-demand view ${name}, to be written as expressions:`, ...python.trimEnd().split("\n")]
      .map((line) => `# ${line}`.trimEnd())
      .join("\n"),
  );
  return [stringify(repository, { lineWidth: 0 }), ...comments].join("\n").concat("\n");
};
