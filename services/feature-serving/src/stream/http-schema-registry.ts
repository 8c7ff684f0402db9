import { MillraceError, Reason } from "@millrace/errors";
import type { RegisteredFormat, RegisteredSchema, SchemaRegistry } from "@millrace/feature-definition/stream";
import { z } from "zod";

/** Thrown when the schema registry cannot be asked, or answers what is no schema: records wait until it can. */
export class SchemaRegistryUnavailableError extends MillraceError {
  constructor(text: string, cause?: unknown) {
    super("UNAVAILABLE", Reason.STORE_UNAVAILABLE, text, { cause, retryAfterMs: 1000 });
  }
}

const callTimeoutMs = 10_000;
const deepestReference = 32;

const answer = z.object({
  schema: z.string(),
  schemaType: z.enum(["AVRO", "PROTOBUF", "JSON"]).default("AVRO"),
  references: z.array(z.object({ name: z.string(), subject: z.string(), version: z.int() })).default([]),
});
type Answer = z.infer<typeof answer>;

/**
 * A schema registry with Confluent's API, which Karapace and Apicurio have too:
 * https://docs.confluent.io/platform/current/schema-registry/develop/api.html
 */
class HttpSchemaRegistry implements SchemaRegistry {
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param url with user and password where the registry wants them. */
  constructor(url: string) {
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`);
    const { username, password } = this.#base;
    this.#base.username = "";
    this.#base.password = "";
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    this.#headers = {
      accept: "application/vnd.schemaregistry.v1+json, application/json",
      ...(username === "" ? {} : { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` }),
    };
  }

  async schema(id: number): Promise<RegisteredSchema | undefined> {
    const found = await this.#get(`schemas/ids/${id}`);
    if (found === undefined) return undefined;
    const references = new Map<string, string>();
    await this.#collect(found, references, 0);
    const format: RegisteredFormat = found.schemaType;
    return { format, text: found.schema, references: Array.from(references, ([name, text]) => ({ name, text })) };
  }

  /** Those that a reference refers to come before it. */
  async #collect({ references }: Answer, into: Map<string, string>, depth: number): Promise<void> {
    if (depth > deepestReference) throw new SchemaRegistryUnavailableError("Schemas refer to each other in a circle.");
    for (const { name, subject, version } of references) {
      if (into.has(name)) continue;
      const found = await this.#get(`subjects/${encodeURIComponent(subject)}/versions/${version}`);
      if (found === undefined) {
        throw new SchemaRegistryUnavailableError(
          `The schema registry lacks ${subject} ${version}, which is referred to.`,
        );
      }
      await this.#collect(found, into, depth + 1);
      into.set(name, found.schema);
    }
  }

  /** Undefined where there is no such schema. */
  async #get(path: string): Promise<Answer | undefined> {
    const url = new URL(path, this.#base);
    let status: number;
    let body: unknown;
    try {
      const response = await fetch(url, { headers: this.#headers, signal: AbortSignal.timeout(callTimeoutMs) });
      status = response.status;
      body = await response.json();
    } catch (cause) {
      throw new SchemaRegistryUnavailableError(`The schema registry ${url.host} does not answer.`, cause);
    }
    if (status === 404) return undefined;
    const read = answer.safeParse(body);
    if (status === 200 && read.success) return read.data;
    const what = status === 200 ? "with what is no schema" : `with status ${status}`;
    throw new SchemaRegistryUnavailableError(`The schema registry ${url.host} answers ${url.pathname} ${what}.`);
  }
}

/** Where no registry is named: sources that need one cannot be read. */
const noSchemaRegistry: SchemaRegistry = {
  schema: () => {
    throw new SchemaRegistryUnavailableError(
      "Records name their schema by number, and no schema registry is set: MILLRACE_SCHEMA_REGISTRY_URL.",
    );
  },
};

/** The schema registry of the settings. @param url undefined where none is set. */
export const schemaRegistryOf = (url: string | undefined): SchemaRegistry =>
  url === undefined ? noSchemaRegistry : new HttpSchemaRegistry(url);
