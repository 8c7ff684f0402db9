import { setTimeout as sleep } from "node:timers/promises";
import type { MillraceErrorCode } from "@millrace/errors";
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from "undici";
import { PackageTooLargeError } from "../package-too-large-error.ts";
import { RegistryUnavailableError } from "../registry-unavailable-error.ts";
import { readLimited } from "./read-limited.ts";
import type { RegistryAddress } from "./registry-address.ts";
import { RegistryAuth } from "./registry-auth.ts";

export interface RegistryRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PATCH" | "PUT";
  /** A path of the registry such as `/v2/…`, or a whole URL that it gave as a location. */
  readonly target: string | URL;
  /** Empty for a call that is about none: the list of all. */
  readonly repository: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  /** Answers that the caller handles; any other status is an error. */
  readonly accept: readonly number[];
  /** False where sending it twice would do harm: then the caller looks how far it came. */
  readonly repeatable?: boolean;
}

/** An answer whose body the caller must read or `dump`. */
export interface RegistryResponse {
  readonly status: number;
  /** Where it came from, after redirects: what a relative location is relative to. */
  readonly url: URL;
  readonly body: Dispatcher.ResponseData["body"];
  header(name: string): string | undefined;
}

const timeouts = { connectMs: 10_000, headersMs: 60_000, bodyMs: 60_000 };
const attempts = 4;
const firstDelayMs = 200;
const longestDelayMs = 10_000;
const redirects = 5;
/** 500 among them: registries answer it to a read that meets a write of the same blob. */
const busyStatuses: readonly number[] = [429, 500, 502, 503, 504];
const errorLimitBytes = 64 * 1024;

/**
 * The HTTP side of a registry: authentication, redirects, retries, errors. Calls that did not get through, and answers
 * that may be others next time (429, 5xx), are repeated with growing pauses, unless the call forbids it.
 */
export class RegistryClient {
  readonly #address: RegistryAddress;
  readonly #dispatcher: Agent | EnvHttpProxyAgent;
  readonly #auth: RegistryAuth;

  constructor(address: RegistryAddress) {
    this.#address = address;
    const options = {
      connect: { timeout: timeouts.connectMs },
      headersTimeout: timeouts.headersMs,
      bodyTimeout: timeouts.bodyMs,
    };
    this.#dispatcher = address.loopback ? new Agent(options) : new EnvHttpProxyAgent(options);
    this.#auth = new RegistryAuth(address, this.#dispatcher);
  }

  get host(): string {
    return this.#address.host;
  }

  /** @throws RegistryUnavailableError, PackageTooLargeError */
  async send(call: RegistryRequest): Promise<RegistryResponse> {
    const last = call.repeatable === false ? 1 : attempts;
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#sendAuthorized(call).catch((error: unknown) => {
        call.signal?.throwIfAborted();
        if (error instanceof RegistryUnavailableError && error.code === "UNAVAILABLE" && attempt < last) {
          return undefined;
        }
        throw error;
      });
      if (answer !== undefined && call.accept.includes(answer.status)) {
        return answer;
      }
      const again = answer === undefined || busyStatuses.includes(answer.status);
      if (answer !== undefined && !(again && attempt < last)) {
        throw await this.#error(call, answer);
      }
      const retryAfterMs = 1000 * Number(answer?.header("retry-after") ?? 0);
      await answer?.body.dump();
      const delayMs = Math.max(firstDelayMs * 2 ** (attempt - 1), Number.isNaN(retryAfterMs) ? 0 : retryAfterMs);
      await sleep(Math.min(delayMs, longestDelayMs), undefined, { signal: call.signal });
    }
  }

  /** The URL that an answer's Location names. @throws RegistryUnavailableError where there is none that may be used. */
  location(answer: RegistryResponse): URL {
    const location = URL.parse(answer.header("location") ?? "", answer.url.href);
    if (answer.header("location") === undefined || location === null) {
      throw new RegistryUnavailableError(this.host, "answered without a Location", { code: "FAILED_PRECONDITION" });
    }
    return this.#checkTls(location);
  }

  /**
   * Where a list goes on, by the answer's Link header (RFC 8288); undefined at its end.
   *
   * @throws RegistryUnavailableError where the header names no URL, or one of another host.
   */
  nextPage(answer: RegistryResponse): URL | undefined {
    const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(answer.header("link") ?? "")?.[1];
    if (next === undefined) {
      return undefined;
    }
    const url = URL.parse(next, answer.url.href);
    if (url?.origin !== this.#origin) {
      throw new RegistryUnavailableError(this.host, "goes on with a list at an address that is not its own", {
        code: "FAILED_PRECONDITION",
      });
    }
    return url;
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  async #sendAuthorized(call: RegistryRequest): Promise<RegistryResponse> {
    const reads = (call.method === "GET" || call.method === "HEAD") && !String(call.target).includes("/blobs/uploads/");
    const actions = reads ? "pull" : "pull,push";
    const scope = call.repository === "" ? "registry:catalog:*" : `repository:${call.repository}:${actions}`;
    const answer = await this.#sendFollowing(call, this.#auth.known(scope));
    const challenge = answer.header("www-authenticate");
    // A challenge says where credentials are to be sent: only the registry's own is believed.
    if (answer.status !== 401 || challenge === undefined || answer.url.origin !== this.#origin) {
      return answer;
    }
    await answer.body.dump();
    return this.#sendFollowing(call, await this.#auth.answer(challenge, scope, call.signal));
  }

  async #sendFollowing(call: RegistryRequest, authorization: string | undefined): Promise<RegistryResponse> {
    let url = typeof call.target === "string" ? new URL(call.target, this.#address.origin) : call.target;
    for (let hop = 0; hop <= redirects; hop += 1) {
      const answer = await this.#sendOnce(call, url, url.origin === this.#origin ? authorization : undefined);
      const moved =
        [301, 302, 303, 307, 308].includes(answer.status) && (call.method === "GET" || call.method === "HEAD");
      if (!moved) {
        return answer;
      }
      await answer.body.dump();
      url = this.location(answer);
    }
    throw new RegistryUnavailableError(this.host, `redirects more than ${redirects} times`, {
      code: "FAILED_PRECONDITION",
    });
  }

  get #origin(): string {
    return new URL(this.#address.origin).origin;
  }

  async #sendOnce(call: RegistryRequest, url: URL, authorization: string | undefined): Promise<RegistryResponse> {
    try {
      const { statusCode, headers, body } = await request(url, {
        method: call.method,
        headers: {
          "accept-encoding": "identity",
          ...call.headers,
          ...(authorization === undefined ? {} : { authorization }),
        },
        body: call.body ?? null,
        dispatcher: this.#dispatcher,
        signal: call.signal ?? null,
      });
      const header = (name: string): string | undefined => {
        const value = headers[name];
        return Array.isArray(value) ? value.join(", ") : value;
      };
      return { status: statusCode, url, body, header };
    } catch (cause) {
      call.signal?.throwIfAborted();
      throw new RegistryUnavailableError(this.host, `did not answer ${call.method} ${url.pathname}`, { cause });
    }
  }

  /** A registry that is spoken to by TLS cannot send us on without. */
  #checkTls(url: URL): URL {
    if (url.protocol !== "https:" && !(url.protocol === "http:" && this.#address.origin.startsWith("http:"))) {
      throw new RegistryUnavailableError(this.host, "sends on to an address without TLS", {
        code: "FAILED_PRECONDITION",
      });
    }
    return url;
  }

  async #error(call: RegistryRequest, answer: RegistryResponse): Promise<Error> {
    const registryCodes = call.method === "HEAD" ? [] : await errorCodes(answer);
    const codes = registryCodes.length === 0 ? "" : ` (${registryCodes.join(", ")})`;
    const what = `answered ${answer.status}${codes} to ${call.method} ${answer.url.pathname}`;
    if (answer.status === 413) {
      return new PackageTooLargeError("What was sent to the registry", call.body?.byteLength ?? 0, 0);
    }
    const code = statusCodes.get(answer.status) ?? fallback(answer);
    return new RegistryUnavailableError(this.host, what, { code, registryCodes });
  }
}

const statusCodes = new Map<number, MillraceErrorCode>([
  [401, "UNAUTHENTICATED"],
  [403, "PERMISSION_DENIED"],
  [429, "UNAVAILABLE"],
]);

const fallback = ({ status }: RegistryResponse): MillraceErrorCode =>
  status >= 500 ? "UNAVAILABLE" : "FAILED_PRECONDITION";

/** The codes of a registry's error, such as DENIED; its free text stays with the registry. */
const errorCodes = async ({ body }: RegistryResponse): Promise<string[]> => {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(await readLimited("error", body, errorLimitBytes)));
    const errors = typeof value === "object" && value !== null && "errors" in value ? value.errors : [];
    return (Array.isArray(errors) ? errors : [])
      .map((entry: unknown) =>
        typeof entry === "object" && entry !== null && "code" in entry ? entry.code : undefined,
      )
      .filter((code): code is string => typeof code === "string" && /^[A-Z_]{1,40}$/.test(code));
  } catch {
    // An error page that is no JSON says nothing that a caller could use: the status alone does.
    return [];
  }
};
