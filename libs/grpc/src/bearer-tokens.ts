import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { CannotListenError } from "./call-errors.ts";

/** The tokens that a server takes, and whom each one names. */
export interface BearerTokens {
  /** The principal of an `authorization` header; undefined where it is no valid token. */
  principalOf(authorization: string): string | undefined;
}

/**
 * Reads a token file: one `name token` a line, or `token` alone (its name is then "token"); empty lines and lines that
 * begin with # are skipped. Only digests are kept, and every one is compared, so that time tells nothing of a token.
 * @throws CannotListenError where the file cannot be read, is empty or has a token shorter than 16 characters.
 */
export const readBearerTokens = (path: string): BearerTokens => {
  const entries = tokenEntries(path).map(({ principal, token }) => ({ principal, digest: digestOf(token) }));
  return {
    principalOf: (authorization) => {
      const token = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
      if (token === undefined) {
        return undefined;
      }
      const digest = digestOf(token);
      let found: string | undefined;
      for (const entry of entries) {
        if (timingSafeEqual(entry.digest, digest)) {
          found = entry.principal;
        }
      }
      return found;
    },
  };
};

/** The first token of a token file: what a client of the same deployment sends. */
export const readClientToken = (path: string): string => {
  const [first] = tokenEntries(path);
  if (first === undefined) {
    throw new CannotListenError(`The token file ${path} has no token.`);
  }
  return first.token;
};

const tokenEntries = (path: string): { principal: string; token: string }[] => {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new CannotListenError(`The token file ${path} cannot be read.`, cause);
  }
  const entries = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [first = "", second, ...rest] = line.split(/\s+/);
      if (rest.length > 0) {
        throw new CannotListenError(`A line of the token file ${path} is not "name token".`);
      }
      return second === undefined ? { principal: "token", token: first } : { principal: first, token: second };
    });
  if (entries.length === 0) {
    throw new CannotListenError(`The token file ${path} has no token.`);
  }
  if (entries.some(({ token }) => token.length < 16)) {
    throw new CannotListenError(`A token of ${path} is shorter than 16 characters.`);
  }
  return entries;
};

const digestOf = (token: string): Buffer => createHash("sha256").update(token).digest();
