import type { JsonObject } from "@bufbuild/protobuf";
import type { FeastSource, FeastView } from "./feast-registry.ts";
import type { ImportedNames } from "./imported-names.ts";
import { valueTypes } from "./value-types.ts";

/** Feast refuses no row for its times: nor does what is imported. */
const anyTime = "36500d";

/** The sources of the views that are imported, each once. */
export class ImportedSources {
  readonly #byName = new Map<string, JsonObject & { fields: JsonObject[] }>();
  readonly #names: ImportedNames;
  readonly #notes: string[];
  constructor(names: ImportedNames, notes: string[]) {
    this.#names = names;
    this.#notes = notes;
  }

  get all(): JsonObject[] {
    return [...this.#byName.values()];
  }

  /** The source of a view: its fields grow by what each view reads. A push source gives its name, since clients push to it. */
  of(view: FeastView): string {
    const { streamSource } = view;
    const batch = streamSource?.batchSource ?? view.batchSource;
    const named = streamSource ?? batch;
    if (named === undefined) throw new TypeError(`The feature view ${view.name} has no source.`);
    const name = this.#names.of(named.name, "source");
    let source = this.#byName.get(name);
    if (source === undefined) {
      source = this.#begin(name, named, batch, streamSource);
      this.#byName.set(name, source);
    }
    const mapping = batch?.fieldMapping ?? {};
    const columns = [...view.entityColumns, ...view.features.filter(() => view.aggregations.length === 0)];
    for (const { name: column, valueType } of columns) this.#addField(source, columnOf(mapping, column), valueType);
    for (const { column } of view.aggregations) {
      const type = view.features.find((feature) => feature.name === column)?.valueType ?? "DOUBLE";
      this.#addField(source, column, type);
    }
    return name;
  }

  #begin(name: string, named: FeastSource, batch: FeastSource | undefined, stream: FeastSource | undefined) {
    const eventTime = named.timestampField || batch?.timestampField || "event_timestamp";
    const createdAt = named.createdTimestampColumn || batch?.createdTimestampColumn || "";
    const times = [eventTime, ...(createdAt === "" ? [] : [createdAt])];
    const source: JsonObject & { fields: JsonObject[] } = {
      name,
      fields: times.map((time): JsonObject => ({ name: time, type: "TIMESTAMP" })),
      eventTime,
      ...(createdAt === "" ? {} : { createdAt }),
      allowedLateness: anyTime,
      maxFutureSkew: anyTime,
      ...(named.owner === "" ? {} : { owner: named.owner }),
      ...(named.description === "" ? {} : { description: named.description }),
    };
    const files = this.#filesOf(batch);
    const topic = this.#topicOf(stream);
    if (files !== undefined) source.batch = files;
    // A source has to be somewhere: what could not be taken over is to be filled in.
    if (topic !== undefined || files === undefined) source.stream = topic ?? { topic: name, format: "JSON" };
    return source;
  }

  #filesOf(batch: FeastSource | undefined): JsonObject | undefined {
    if (batch === undefined) return undefined;
    const { name, type, fileOptions } = batch;
    if (type !== "BATCH_FILE" || fileOptions === undefined) {
      this.#notes.push(
        `The data of the source ${name} is ${type || "of no known kind"}, which has no equal: give it as Parquet.`,
      );
      return undefined;
    }
    if (fileOptions.fileFormat?.deltaFormat !== undefined) {
      this.#notes.push(`The data of the source ${name} is a Delta table, which has no equal: give it as Parquet.`);
      return undefined;
    }
    if (/^[a-z0-9]+:\/\//.test(fileOptions.uri)) {
      this.#notes.push(
        `The data of the source ${name} lies at ${fileOptions.uri}: only files below the data root are read.`,
      );
      return undefined;
    }
    return { parquet: fileOptions.uri };
  }

  #topicOf(stream: FeastSource | undefined): JsonObject | undefined {
    if (stream === undefined) return undefined;
    if (stream.type === "PUSH_SOURCE") {
      this.#notes.push(`Pushes to the source ${stream.name} go to a topic of its name.`);
      return { topic: stream.name, format: "JSON" };
    }
    if (stream.type === "STREAM_KAFKA" && stream.kafkaOptions?.messageFormat.jsonFormat !== undefined) {
      return { topic: stream.kafkaOptions.topic, format: "JSON" };
    }
    this.#notes.push(`The stream of the source ${stream.name} is ${stream.type}, not Kafka with JSON: it is not read.`);
    return undefined;
  }

  #addField(source: { fields: JsonObject[]; name?: unknown }, name: string, valueType: string): void {
    const type = valueTypes.get(valueType);
    if (type === undefined || source.fields.some((field) => field.name === name)) return;
    source.fields.push({ name, type });
  }
}

/** The column of the data that a Feast source maps to a name. */
export const columnOf = (mapping: Readonly<Record<string, string>>, name: string): string =>
  Object.entries(mapping).find(([, mapped]) => mapped === name)?.[0] ?? name;
