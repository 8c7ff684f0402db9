import {
  type Source,
  type StreamSource,
  StreamSource_Envelope,
  StreamSource_Format,
  StreamSource_Framing,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { Problems } from "../../problems.ts";
import { StreamSchemaInvalidError } from "./record-decoder.ts";
import { streamDecoder } from "./stream-decoder.ts";

/** Notes what does not fit in how a stream's records are said to be. */
export const checkStream = (stream: StreamSource, source: Source, place: string, problems: Problems): void => {
  const { format, framing, schema, descriptorSet, envelope } = stream;
  const isFramed = framing === StreamSource_Framing.SCHEMA_REGISTRY;
  const before = problems.found.length;
  const needsDescriptors = format === StreamSource_Format.PROTOBUF && !isFramed;
  if (needsDescriptors && descriptorSet.length === 0) {
    problems.add(`${place}.descriptorSet`, "a FileDescriptorSet, or framing: SCHEMA_REGISTRY", "none");
  }
  if (!needsDescriptors && descriptorSet.length > 0) {
    problems.add(`${place}.descriptorSet`, "none, except for PROTOBUF without a schema registry", "descriptors");
  }
  const needsSchema = format !== StreamSource_Format.JSON && !isFramed;
  if (needsSchema && schema === "") {
    const what = format === StreamSource_Format.AVRO ? "the Avro schema as JSON" : "the full name of the message";
    problems.add(`${place}.schema`, `${what}, or framing: SCHEMA_REGISTRY`, "none");
  }
  if (schema !== "" && (format === StreamSource_Format.JSON || (isFramed && format === StreamSource_Format.AVRO))) {
    const what = format === StreamSource_Format.JSON ? "none for JSON" : "none, since the schema registry has it";
    problems.add(`${place}.schema`, what, schema.slice(0, 80));
  }
  if (problems.found.length > before) return;
  try {
    const { names } = streamDecoder(stream);
    // A change event has rows in it, and not the fields.
    if (names === undefined || envelope === StreamSource_Envelope.DEBEZIUM) return;
    for (const [index, { name }] of source.fields.entries()) {
      if (names.includes(name)) continue;
      problems.add(
        `${place.replace(/\.stream$/, "")}.fields[${index}].name`,
        `one of the record's: ${names.join(", ")}`,
        name,
      );
    }
  } catch (error) {
    if (!(error instanceof StreamSchemaInvalidError)) throw error;
    problems.add(`${place}.schema`, "a schema that fits the format", error.message);
  }
};
