import { ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import type { ModelStore } from "@millrace/model-package";
import { Command } from "commander";
import { printMessage, printTable } from "../output.ts";

/** Loaded when it is needed, like everything that only some commands use. */
const open = async (url: string): Promise<ModelStore> => (await import("@millrace/model-package")).openModelStore(url);

export const packageCommands = (): Command[] => {
  const root = new Command("package").description("looks at model packages in a layout or a registry");
  const store = ["--store <url>", "the model store: oci:./folder or oci://registry/prefix"] as const;
  root
    .command("show <reference>")
    .description("verifies a package and prints what it says of its model")
    .requiredOption(...store)
    .action(async (reference: string, options: { store: string }) => {
      const opened = await open(options.store);
      try {
        printMessage(ModelPackageSchema, (await opened.pull(reference)).manifest);
      } finally {
        await opened.close();
      }
    });
  root
    .command("tags <repository>")
    .description("lists the tags of a repository")
    .requiredOption(...store)
    .action(async (repository: string, options: { store: string }) => {
      const opened = await open(options.store);
      try {
        const tags = await opened.tags(repository);
        const digests = await Promise.all(tags.map((tag) => opened.resolve(`${repository}:${tag}`)));
        printTable([["tag", "digest"], ...tags.map((tag, index) => [tag, digests[index]?.digest ?? ""])]);
      } finally {
        await opened.close();
      }
    });
  return [root];
};
