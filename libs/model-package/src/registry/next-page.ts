import type { RegistryResponse } from "./registry-client.ts";

/** Where a list goes on, by the answer's Link header (RFC 8288); undefined at its end. */
export const nextPage = (answer: RegistryResponse): URL | undefined => {
  const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(answer.header("link") ?? "")?.[1];
  return next === undefined ? undefined : new URL(next, answer.url);
};
