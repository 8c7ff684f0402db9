import { checkRepository } from "../package-reference.ts";
import { ReferenceInvalidError } from "../reference-invalid-error.ts";
import { StoreUrlInvalidError } from "../store-url-invalid-error.ts";

/** Where a registry is, and below which prefix the store's repositories lie. */
export interface RegistryAddress {
  /** `host` or `host:port`, as docker's config names it. */
  readonly host: string;
  /** `https://host:port`; `http:` only for loopback or where the URL says so. */
  readonly origin: string;
  readonly loopback: boolean;
  /** Empty, or such as `team/models`. */
  readonly prefix: string;
}

/**
 * Reads `oci://host[:port]/prefix[?plainHttp=true]`. Without TLS only for this machine itself, unless the URL asks.
 *
 * @throws StoreUrlInvalidError
 */
export const parseRegistryUrl = (url: string): RegistryAddress => {
  let parsed: URL;
  try {
    // As https, since URL knows nothing of the ports and names of a scheme that it does not know.
    parsed = new URL(url.replace(/^oci:/, "https:"));
  } catch {
    throw new StoreUrlInvalidError("oci://host[:port]/prefix", "text that is no URL");
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new StoreUrlInvalidError("credentials in docker's config.json", "credentials in the URL");
  }
  const unknown = [...parsed.searchParams.keys()].find((name) => name !== "plainHttp");
  const plainHttp = parsed.searchParams.get("plainHttp");
  if (unknown !== undefined || parsed.hash !== "") {
    throw new StoreUrlInvalidError("no parameter but plainHttp", unknown ?? parsed.hash);
  }
  if (plainHttp !== null && plainHttp !== "true" && plainHttp !== "false") {
    throw new StoreUrlInvalidError("plainHttp=true or plainHttp=false", `plainHttp=${plainHttp}`);
  }
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(parsed.hostname);
  const plain = plainHttp === null ? loopback : plainHttp === "true";
  const host = /^oci:\/\/([^/?]+)/.exec(url)?.[1]?.toLowerCase() ?? parsed.host;
  return { host, origin: `${plain ? "http" : "https"}://${host}`, loopback, prefix: readPrefix(parsed.pathname) };
};

const readPrefix = (path: string): string => {
  const prefix = path.replace(/^\/|\/$/g, "");
  try {
    return prefix === "" ? "" : checkRepository(prefix);
  } catch (error) {
    if (error instanceof ReferenceInvalidError) {
      throw new StoreUrlInvalidError("a prefix of lower-case names separated by /", prefix);
    }
    throw error;
  }
};
