import type { Command } from "commander";
import { serviceCommand } from "../connection.ts";
import type { DeclarationDocument } from "../declaration/declaration-document.ts";
import { addVersion, replaceVersions } from "../declaration/traffic-change.ts";
import { UsageError } from "../usage-error.ts";
import { type ChangeOptions, changeDeclaration, changing } from "./change-declaration.ts";
import { hasShare, percentOf, versionOf } from "./promote.ts";

interface DeployOptions extends ChangeOptions {
  readonly version?: string;
  readonly weight?: string;
  readonly shadow: boolean;
  readonly header?: string;
}

/** `deploy`: a package behind a model's name, in place of what is there or beside it. */
export const deployCommand = (): Command =>
  changing(
    serviceCommand(
      "inference",
      "deploy <model> <package>",
      "declares a package behind a model name and waits until it serves",
    ),
  )
    .option("--version <number>", "its version; default: the next, or the one that the package has already")
    .option("--weight <percent>", "declares it beside the versions that are there, with this share of the traffic")
    .option("--shadow", "declares it beside them, with a copy of the traffic", false)
    .option("--header <header>", "declares it beside them, for calls with this header: name, or name: value")
    .action(deploy);

const deploy = async (model: string, reference: string, options: DeployOptions): Promise<void> => {
  const { shadow, header } = options;
  if (shadow && (options.weight !== undefined || header !== undefined)) {
    throw new UsageError("--shadow gets copies only: it goes without --weight and --header.");
  }
  const isAdded = shadow || header !== undefined || options.weight !== undefined;
  const percent = isAdded ? percentOf(options.weight ?? "0") : 100;
  const given = options.version === undefined ? undefined : versionOf(options.version);
  await changeDeclaration(
    model,
    options,
    true,
    (document) => {
      const version = given ?? nextVersion(document, model, reference);
      if (isAdded) addVersion(document, model, { version, package: reference, percent, shadow, header });
      else replaceVersions(document, model, version, reference);
      return version;
    },
    (status) => status.package === reference && status.shadow === shadow && hasShare(status.weight, percent),
  );
};

/** The version that a package has already, or the next that is free. */
const nextVersion = (document: DeclarationDocument, model: string, reference: string): bigint => {
  const versions = document.versions(model) ?? [];
  const same = versions.find((declared) => declared.package === reference);
  return same?.version ?? versions.reduce((most, { version }) => (version > most ? version : most), 0n) + 1n;
};
