import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  type Entity,
  type Field,
  type Source,
  StreamSource_Envelope,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { compileDerived } from "./compile-derived.ts";
import type { CompiledEntity, CompiledField, CompiledSource } from "./compiled.ts";
import { placeOf } from "./definition-origin.ts";
import { parseDurationUs } from "./duration.ts";
import { valueTypeName } from "./expression/expression-type.ts";
import { elementType } from "./list-type.ts";
import type { Problems } from "./problems.ts";
import { parseQuery } from "./sql-source/parse-query.ts";
import { checkStream } from "./stream/format/check-stream.ts";

const keyTypes: readonly ValueType[] = [
  ValueType.INT64,
  ValueType.STRING,
  ValueType.BYTES,
  ValueType.BOOL,
  ValueType.TIMESTAMP,
];

const defaultAllowedLateness = "1d";
const defaultMaxFutureSkew = "5m";

/** Compiles entities; keys must have a type that can be one. */
export const compileEntities = (entities: readonly Entity[], problems: Problems): Map<string, CompiledEntity> => {
  const compiled = new Map<string, CompiledEntity>();
  entities.forEach((entity, index) => {
    const place = placeOf(entity, `entities[${index}]`);
    const keys = compileFields(entity.keys, `${place}.keys`, problems);
    keys.forEach(({ type }, at) => {
      if (keyTypes.includes(type)) return;
      problems.add(
        `${place}.keys[${at}].type`,
        `one of ${keyTypes.map(valueTypeName).join(", ")}`,
        valueTypeName(type),
      );
    });
    compiled.set(entity.name, { name: entity.name, keys });
  });
  return compiled;
};

/** Compiles sources; their times must be TIMESTAMP fields. */
export const compileSources = (sources: readonly Source[], problems: Problems): Map<string, CompiledSource> => {
  const compiled = new Map<string, CompiledSource>();
  sources.forEach((source, index) => {
    const place = placeOf(source, `sources[${index}]`);
    const fields = compileFields(source.fields, `${place}.fields`, problems);
    const derivedNames = new Set(source.derived.map(({ name }) => name));
    const requireTime = (key: string, name: string): void => {
      const field = fields.find((candidate) => candidate.name === name);
      if (field?.type === ValueType.TIMESTAMP) return;
      const got =
        field === undefined
          ? `${JSON.stringify(name)}, which is ${derivedNames.has(name) ? "derived" : "no field"}`
          : `${name}, of type ${valueTypeName(field.type)}`;
      problems.add(`${place}.${key}`, "the name of a TIMESTAMP field of this source", got);
    };
    requireTime("eventTime", source.eventTime);
    const { completeUpTo } = source;
    if (completeUpTo !== undefined) {
      requireTime("completeUpTo.column", completeUpTo.column);
      if (source.batch === undefined) problems.add(`${place}.completeUpTo`, "none without batch", "a declaration");
    }
    if (source.createdAt !== "") requireTime("createdAt", source.createdAt);
    checkBatch(source, place, problems);
    const deleted = compileDeleted(source, fields, place, problems);
    if (source.stream !== undefined) checkStream(source.stream, source, `${place}.stream`, problems);
    if (source.batch === undefined && source.stream === undefined) {
      problems.add(place, "batch, stream, or both", "neither");
    }
    const derived = compileDerived(source.derived, fields, `${place}.derived`, problems);
    compiled.set(source.name, {
      name: source.name,
      fields,
      derived,
      columns: [...fields, ...derived],
      eventTime: source.eventTime,
      createdAt: source.createdAt === "" ? undefined : source.createdAt,
      allowedLatenessUs: durationOf(
        source.allowedLateness,
        defaultAllowedLateness,
        `${place}.allowedLateness`,
        problems,
      ),
      maxFutureSkewUs: durationOf(source.maxFutureSkew, defaultMaxFutureSkew, `${place}.maxFutureSkew`, problems),
      ...(deleted === undefined ? {} : { deleted }),
      ...(completeUpTo === undefined
        ? {}
        : {
            completeUpTo: {
              column: completeUpTo.column,
              lagUs: durationOf(completeUpTo.lag, "0s", `${place}.completeUpTo.lag`, problems),
            },
          }),
      batch: source.batch,
      stream: source.stream,
      owner: source.owner,
    });
  });
  return compiled;
};

/** The field that says that an entity is gone; a change event sets it, so that there has to be one. */
const compileDeleted = (
  { deleted, stream }: Source,
  fields: readonly CompiledField[],
  place: string,
  problems: Problems,
): CompiledSource["deleted"] => {
  const isChange = stream?.envelope === StreamSource_Envelope.DEBEZIUM;
  if (deleted === "" && !isChange) return undefined;
  const index = fields.findIndex(({ name }) => name === deleted);
  const field = fields[index];
  if (field?.type === ValueType.BOOL) return { name: field.name, index };
  const expected = `the name of a BOOL field of this source${isChange ? ", which the envelope sets" : ""}`;
  const got = field === undefined ? JSON.stringify(deleted) : `${deleted}, of type ${valueTypeName(field.type)}`;
  problems.add(`${place}.deleted`, expected, deleted === "" ? "none" : got);
  return undefined;
};

const checkBatch = (source: Source, place: string, problems: Problems): void => {
  if (source.batch?.data.case !== "sql") return;
  const query = parseQuery(source.batch.data.value.query);
  if (typeof query === "string") problems.add(`${place}.batch.sql.query`, "one SELECT of PostgreSQL", query);
};

/** Compiles named columns; names must be unique among them. */
export const compileFields = (fields: readonly Field[], place: string, problems: Problems): CompiledField[] => {
  const names = new Set<string>();
  return fields.map((field, index) => {
    if (names.has(field.name))
      problems.add(`${place}[${index}].name`, "a name of its own", `${field.name}, a second time`);
    names.add(field.name);
    if (field.length !== 0 && elementType(field.type) === undefined) {
      problems.add(`${place}[${index}].length`, `none for a ${valueTypeName(field.type)}`, String(field.length));
    }
    if (field.min !== undefined && field.max !== undefined && field.min > field.max) {
      problems.add(`${place}[${index}].min`, `at most max, ${field.max}`, String(field.min));
    }
    return {
      name: field.name,
      type: field.type,
      ...(field.length === 0 ? {} : { length: field.length }),
      ...(field.min === undefined ? {} : { min: field.min }),
      ...(field.max === undefined ? {} : { max: field.max }),
    };
  });
};

/** A duration in microseconds. A text without meaning is noted, and counts as none. */
export const durationOf = (text: string, fallback: string, place: string, problems: Problems): bigint => {
  const durationUs = parseDurationUs(text === "" ? fallback : text);
  if (durationUs !== undefined) return durationUs;
  problems.add(place, "a duration of at most a thousand years, such as 5m, 24h or 7d", text);
  return 0n;
};
