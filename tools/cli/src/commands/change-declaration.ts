import { DeploymentService, type VersionStatus } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import type { Client } from "@millrace/grpc";
import type { Command } from "commander";
import colors from "picocolors";
import { type ConnectionOptions, withClient } from "../connection.ts";
import { awaitInForce, NotInForceError } from "../declaration/await-in-force.ts";
import { DeclarationDocument } from "../declaration/declaration-document.ts";
import {
  declarationHash,
  FileChangedError,
  readDeclarationFile,
  replaceDeclarationFile,
} from "../declaration/declaration-file.ts";
import { lineDifference } from "../declaration/line-difference.ts";
import { UsageError } from "../usage-error.ts";

export interface ChangeOptions extends ConnectionOptions {
  readonly file: string;
  readonly timeout: string;
  readonly dryRun: boolean;
  readonly keep: boolean;
}

/** Adds the options of a command that changes the deployments file. */
export const changing = (command: Command): Command =>
  command
    .requiredOption("--file <deployments.yaml>", "the declaration that the inference service watches")
    .option("--timeout <seconds>", "how long to wait until it is in force", "60")
    .option("--dry-run", "print what would change in the file, and change nothing", false)
    .option("--keep", "leave the file as it was written when it does not come in force", false);

/**
 * Changes the deployments file, and waits until that is in force. Where it does not come in force the file is put back.
 * @param change edits the document, and answers the version that is waited for.
 * @param checksPackages whether the service is asked first whether it can serve what the file declares of the model. Not
 *   where traffic only moves: a rollback must not wait for a registry that is away.
 * @param isAsDeclared whether the version that is ready is as the changed file says.
 * @throws NotInForceError, FileChangedError, and what the edit throws.
 */
export const changeDeclaration = async (
  model: string,
  options: ChangeOptions,
  checksPackages: boolean,
  change: (document: DeclarationDocument) => bigint,
  isAsDeclared: (version: VersionStatus) => boolean,
): Promise<void> => {
  const timeoutMs = Number(options.timeout) * 1000;
  if (!(timeoutMs > 0)) throw new UsageError(`--timeout expects a number of seconds, got ${options.timeout}.`);
  const before = await readDeclarationFile(options.file);
  const document = new DeclarationDocument(before.text ?? "", options.file);
  const version = change(document);
  const text = document.toString();
  if (options.dryRun) {
    for (const line of lineDifference(before.text ?? "", text)) console.log(coloured(line));
    return;
  }
  await withClient(DeploymentService, options, async (client) => {
    if (checksPackages) await checkPackages(client, model, document);
    const written = await replaceDeclarationFile(before, text);
    const unchanged = async () => {
      const now = await readDeclarationFile(options.file);
      if (now.text !== text) throw new FileChangedError(options.file, "it is left as it is");
    };
    try {
      const awaited = { model, version, hash: declarationHash(text), isAsDeclared };
      const { weight, digest, shadow } = await awaitInForce(client, awaited, timeoutMs, unchanged);
      const share = shadow ? "as a shadow" : `with ${Number((weight * 100).toFixed(2))} % of the traffic`;
      console.log(`${model} version ${version} serves ${share}: ${digest}`);
    } catch (error) {
      if (!options.keep && !(error instanceof FileChangedError)) {
        await replaceDeclarationFile(written, before.text);
        console.error(`${options.file} was put back as it was.`);
      }
      throw error;
    }
  });
};

/** @throws NotInForceError with what the service finds wrong with the declaration, or with the packages of the model. */
const checkPackages = async (
  client: Client<typeof DeploymentService>,
  model: string,
  document: DeclarationDocument,
): Promise<void> => {
  const declaration = document.read();
  const own = `deployments[${declaration.deployments.findIndex((deployment) => deployment.model === model)}]`;
  const { findings } = await client.validate({ declaration }, { timeoutMs: 60_000 });
  const finding = findings.find(({ field, reason }) => field.startsWith(own) || reason === "DECLARATION_INVALID");
  if (finding !== undefined) throw new NotInForceError(`${finding.field}: ${finding.message}`, finding.reason);
};

const coloured = (line: string): string => {
  if (line.startsWith("-")) return colors.red(line);
  return line.startsWith("+") ? colors.green(line) : line;
};
