import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Command } from "commander";

const file = "@millrace/feature-definition/schema/feature-repository.schema.json";

export const schemaCommand = (): Command =>
  new Command("schema")
    .description("prints the JSON Schema of feature repositories, for editors that complete and check YAML")
    .action(async () => {
      process.stdout.write(await readFile(fileURLToPath(import.meta.resolve(file)), "utf8"));
    });
