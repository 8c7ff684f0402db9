import { type Dispatcher, request } from "undici";
import { RegistryUnavailableError } from "../registry-unavailable-error.ts";
import { type AuthChallenge, parseAuthChallenge } from "./auth-challenge.ts";
import { type Credentials, dockerCredentials } from "./docker-credentials.ts";
import { readLimited } from "./read-limited.ts";
import type { RegistryAddress } from "./registry-address.ts";

const answerLimitBytes = 1024 ** 2;
/** A token is renewed this long before it expires, so that it does not expire on the way. */
const renewBeforeMs = 10_000;

/**
 * Gets and keeps the Authorization headers of one registry: none until it asks for one, then Basic, or a bearer token
 * from the token service that it names, one a scope. Credentials come from docker's configuration and go only to the
 * registry and to its token service, never without TLS unless the registry itself is without.
 */
export class RegistryAuth {
  readonly #address: RegistryAddress;
  readonly #dispatcher: Dispatcher;
  readonly #headers = new Map<string, { readonly value: string; readonly renewAtMs: number }>();
  #credentials: Promise<Credentials | undefined> | undefined;

  constructor(address: RegistryAddress, dispatcher: Dispatcher) {
    this.#address = address;
    this.#dispatcher = dispatcher;
  }

  /** The header for a scope such as `repository:team/flight_delay:pull,push`, if the registry asked for one before. */
  known(scope: string): string | undefined {
    const header = this.#headers.get(scope);
    return header !== undefined && header.renewAtMs > Date.now() ? header.value : undefined;
  }

  /**
   * Answers a 401: gets a new header for the scope.
   *
   * @throws RegistryUnavailableError (UNAUTHENTICATED) where the registry asks for what we do not have.
   */
  async answer(challengeHeader: string, scope: string, signal: AbortSignal | undefined): Promise<string> {
    const challenge = parseAuthChallenge(challengeHeader);
    if (challenge === undefined) {
      throw this.#refused("asks for a kind of authentication that is neither Basic nor Bearer");
    }
    this.#credentials ??= dockerCredentials(this.#address.host);
    const credentials = await this.#credentials.catch((error: unknown) => {
      this.#credentials = undefined;
      throw error;
    });
    const header =
      challenge.scheme === "basic"
        ? this.#basic(credentials)
        : await this.#token(challenge, scope, credentials, signal);
    this.#headers.set(scope, header);
    return header.value;
  }

  #basic(credentials: Credentials | undefined): { value: string; renewAtMs: number } {
    if (credentials?.kind !== "password") {
      throw this.#refused("wants a user and a password, and docker's config.json has none for it");
    }
    return { value: basicHeader(credentials), renewAtMs: Number.POSITIVE_INFINITY };
  }

  async #token(
    challenge: Extract<AuthChallenge, { scheme: "bearer" }>,
    scope: string,
    credentials: Credentials | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ value: string; renewAtMs: number }> {
    const realm = URL.parse(challenge.realm, this.#address.origin);
    if (realm === null || !(realm.protocol === "https:" || this.#address.origin.startsWith("http:"))) {
      throw this.#refused("names a token service without TLS");
    }
    const query = { ...(challenge.service === undefined ? {} : { service: challenge.service }), scope };
    const answer = await this.#ask(realm, query, credentials, signal);
    const { statusCode } = answer;
    const text = new TextDecoder().decode(
      await readLimited("the token service's answer", answer.body, answerLimitBytes),
    );
    if (statusCode !== 200) {
      if (statusCode >= 500 || statusCode === 429) {
        throw new RegistryUnavailableError(this.#address.host, `has a token service that answers ${statusCode}`);
      }
      throw this.#refused(`has a token service that answers ${statusCode}`);
    }
    const { token, access_token: accessToken, expires_in: expiresInS } = parseObject(text);
    const value = typeof token === "string" ? token : accessToken;
    if (typeof value !== "string") {
      throw this.#refused("has a token service that answers no token");
    }
    const lifeMs = (typeof expiresInS === "number" ? expiresInS : 60) * 1000;
    return { value: `Bearer ${value}`, renewAtMs: Date.now() + Math.max(0, lifeMs - renewBeforeMs) };
  }

  async #ask(
    realm: URL,
    query: Readonly<Record<string, string>>,
    credentials: Credentials | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Dispatcher.ResponseData> {
    const options = { dispatcher: this.#dispatcher, signal: signal ?? null };
    try {
      if (credentials?.kind === "identity") {
        const form = { ...query, grant_type: "refresh_token", refresh_token: credentials.token, client_id: "millrace" };
        const headers = { "content-type": "application/x-www-form-urlencoded" };
        return await request(realm, {
          ...options,
          method: "POST",
          headers,
          body: new URLSearchParams(form).toString(),
        });
      }
      for (const [name, value] of Object.entries(query)) {
        realm.searchParams.set(name, value);
      }
      const headers = credentials === undefined ? {} : { authorization: basicHeader(credentials) };
      return await request(realm, { ...options, headers });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new RegistryUnavailableError(this.#address.host, "has a token service that does not answer", { cause });
    }
  }

  #refused(what: string): RegistryUnavailableError {
    return new RegistryUnavailableError(this.#address.host, what, { code: "UNAUTHENTICATED" });
  }
}

const basicHeader = ({ user, password }: Extract<Credentials, { kind: "password" }>): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

const parseObject = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
};
