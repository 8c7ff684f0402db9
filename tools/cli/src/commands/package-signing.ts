import { existsSync, readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { MillraceError, Reason } from "@millrace/errors";
import { Command, Option } from "commander";
import { collect } from "../column-argument.ts";
import { packageReference } from "../package-location.ts";
import { type StoreOptions, storeCommand, withStore } from "../package-store.ts";
import { UsageError } from "../usage-error.ts";

interface PasswordOptions {
  readonly passwordFile?: string;
}

/** The variable that a password comes by where no file has it: never an argument, which every user of a machine sees. */
const passwordVariable = "MILLRACE_SIGNING_PASSWORD";

const passwordOption = (): Option =>
  new Option("--password-file <file>", `a file with the password of the key; else the variable ${passwordVariable}`);

export const packageSigningCommands = (): Command[] => [
  new Command("keygen")
    .argument("<prefix>", "the files: prefix.key for who signs, prefix.pub for who verifies")
    .description("makes a key pair to sign packages with (ECDSA P-256)")
    .addOption(passwordOption())
    .action(keygen),
  storeCommand("sign <reference>", "signs a package, and keeps the signature beside it")
    .requiredOption("--key <file>", "the private key, PEM")
    .addOption(passwordOption())
    .action(sign),
  storeCommand("verify <reference>", "says which key signed a package; ends with 1 where none of the given did")
    .option("--key <file>", "a public key that counts, PEM; may be repeated", collect, [])
    .action(verify),
];

const keygen = async (prefix: string, options: PasswordOptions): Promise<void> => {
  const [privateFile, publicFile] = [`${prefix}.key`, `${prefix}.pub`];
  const present = [privateFile, publicFile].find((file) => existsSync(file));
  if (present !== undefined) {
    throw new MillraceError(
      "ALREADY_EXISTS",
      Reason.FIELD_INVALID,
      `${present} is there already: keys are not replaced.`,
    );
  }
  const { generateSigningKey } = await import("@millrace/model-package");
  const password = readPassword(options);
  const { privateKeyPem, publicKeyPem } = generateSigningKey(password);
  await writeNew(privateFile, privateKeyPem, 0o600);
  await writeNew(publicFile, publicKeyPem, 0o644);
  console.log(`${privateFile} ${password === undefined ? "(without a password)" : "(encrypted)"}, ${publicFile}`);
};

const sign = async (
  text: string,
  options: StoreOptions & PasswordOptions & { readonly key: string },
): Promise<void> => {
  const { storeUrl, reference } = packageReference(text, options.store);
  const { signerFromPem } = await import("@millrace/model-package");
  const signer = signerFromPem(readKey(options.key), readPassword(options));
  await withStore(storeUrl, async (store) => {
    const { repository, digest, signature } = await store.sign(reference, signer);
    console.log(`${repository}@${digest} is signed: ${signature}`);
  });
};

const verify = async (text: string, options: StoreOptions & { readonly key: readonly string[] }): Promise<void> => {
  const { storeUrl, reference } = packageReference(text, options.store);
  if (options.key.length === 0) throw new UsageError("verify expects --key <file>: at least one public key.");
  const trustedKeys = options.key.map((file) => ({ name: basename(file), pem: readKey(file) }));
  await withStore(storeUrl, async (store) => {
    const resolved = await store.resolve(reference);
    const { keyName, signature } = await store.verifySignature(resolved, trustedKeys);
    console.log(`${resolved.repository}@${resolved.digest} is signed by ${keyName}: ${signature}`);
  });
};

const readKey = (file: string): string => readText("key", file);

const readPassword = ({ passwordFile }: PasswordOptions): string | undefined => {
  if (passwordFile === undefined) return process.env[passwordVariable] || undefined;
  const password = readText("password", passwordFile).replace(/\r?\n$/, "");
  if (password === "") throw new UsageError(`The password file ${passwordFile} is empty: expected a password.`);
  return password;
};

const readText = (what: string, file: string): string => {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new MillraceError("NOT_FOUND", Reason.FIELD_INVALID, `The ${what} file ${file} cannot be read: ${why}.`, {
      cause,
    });
  }
};

/** Never over a file that came in the meantime. */
const writeNew = async (path: string, text: string, mode: number): Promise<void> => {
  const file = await open(path, "wx", mode);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
};
