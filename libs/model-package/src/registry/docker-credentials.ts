import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { RegistryUnavailableError } from "../registry-unavailable-error.ts";

/** What docker's configuration knows of a registry: a name with its password, or a token that is exchanged for others. */
export type Credentials =
  | { readonly kind: "password"; readonly user: string; readonly password: string }
  | { readonly kind: "identity"; readonly token: string };

/**
 * Reads the credentials of a registry as docker keeps them: `config.json` in `$DOCKER_CONFIG`, else in `~/.docker`; from
 * a helper where it names one (`credHelpers`, `credsStore`), else from `auths`. Undefined where there are none: the
 * registry is asked anonymously.
 *
 * @throws RegistryUnavailableError (UNAUTHENTICATED) where the file or the helper answers what cannot be read.
 */
export const dockerCredentials = async (host: string): Promise<Credentials | undefined> => {
  const path = join(process.env.DOCKER_CONFIG ?? join(homedir(), ".docker"), "config.json");
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") {
      return undefined;
    }
    throw unreadable(host, `docker's ${path} cannot be read`, error);
  });
  if (text === undefined) {
    return undefined;
  }
  const config = parse(host, path, text);
  const helper = textIn(config.credHelpers, host) ?? optionalText(config.credsStore);
  const stored = entryIn(config.auths, host);
  return (helper === undefined ? undefined : await askHelper(host, helper)) ?? (stored && fromEntry(host, stored));
};

const parse = (host: string, what: string, text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    // The parser's own message may quote the file, and so a password: it stays behind.
    throw unreadable(host, `docker's ${what} is no JSON`, error instanceof Error ? error.name : undefined);
  }
};

const unreadable = (host: string, what: string, cause: unknown): RegistryUnavailableError =>
  new RegistryUnavailableError(host, `cannot be asked: ${what}`, { code: "UNAUTHENTICATED", cause });

const optionalText = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

const textIn = (record: unknown, key: string): string | undefined =>
  typeof record === "object" && record !== null ? optionalText((record as Record<string, unknown>)[key]) : undefined;

/** The entry of a host; older files name it with scheme and path (`https://host/v1/`). */
const entryIn = (auths: unknown, host: string): Record<string, unknown> | undefined => {
  if (typeof auths !== "object" || auths === null) {
    return undefined;
  }
  const found = Object.entries(auths).find(([key]) => key.replace(/^https?:\/\//, "").replace(/\/.*$/, "") === host);
  return typeof found?.[1] === "object" && found[1] !== null ? (found[1] as Record<string, unknown>) : undefined;
};

const fromEntry = (host: string, entry: Record<string, unknown>): Credentials | undefined => {
  const identity = optionalText(entry.identitytoken);
  if (identity !== undefined) {
    return { kind: "identity", token: identity };
  }
  const auth = optionalText(entry.auth);
  if (auth === undefined) {
    return undefined;
  }
  const [, user, password] = /^([^:]+):(.*)$/s.exec(Buffer.from(auth, "base64").toString("utf8")) ?? [];
  if (user === undefined || password === undefined) {
    throw unreadable(host, "its entry in docker's config.json is not base64 of user:password", undefined);
  }
  return { kind: "password", user, password };
};

const askHelper = async (host: string, helper: string): Promise<Credentials | undefined> => {
  if (!/^[A-Za-z0-9._-]+$/.test(helper)) {
    throw unreadable(host, "docker's config.json names a malformed credential helper", undefined);
  }
  const program = `docker-credential-${helper}`;
  const answer = await new Promise<string | undefined>((resolve, reject) => {
    const child = execFile(program, ["get"], { timeout: 10_000 }, (error, stdout) => {
      if (error === null) {
        resolve(stdout);
      } else if (stdout.includes("credentials not found")) {
        resolve(undefined);
      } else {
        reject(unreadable(host, `the credential helper ${program} failed`, error.code ?? error.name));
      }
    });
    child.stdin?.on("error", () => {
      // A helper that ends before it reads its input shows in its exit status.
    });
    child.stdin?.end(host);
  });
  if (answer === undefined) {
    return undefined;
  }
  const { Username: user, Secret: secret } = parse(host, `credential helper ${program}'s answer`, answer);
  if (typeof user !== "string" || typeof secret !== "string") {
    throw unreadable(host, `the credential helper ${program} answered without Username and Secret`, undefined);
  }
  return user === "<token>" ? { kind: "identity", token: secret } : { kind: "password", user, password: secret };
};
