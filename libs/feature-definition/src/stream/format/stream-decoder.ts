import {
  type StreamSource,
  StreamSource_Format,
  StreamSource_Framing,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { avroDecoder } from "./avro-decoder.ts";
import { FramedDecoder } from "./framed-decoder.ts";
import { jsonDecoder } from "./json-decoder.ts";
import { protobufDecoder, typeOfDescriptors } from "./protobuf-decoder.ts";
import type { RecordDecoder } from "./record-decoder.ts";

/** What reads the records of a stream. @throws StreamSchemaInvalidError where its schema does not fit its format. */
export const streamDecoder = ({ format, framing, schema, descriptorSet }: StreamSource): RecordDecoder => {
  const isFramed = framing === StreamSource_Framing.SCHEMA_REGISTRY;
  switch (format) {
    case StreamSource_Format.AVRO:
      return isFramed ? new FramedDecoder("AVRO", "") : avroDecoder(schema);
    case StreamSource_Format.PROTOBUF:
      return isFramed
        ? new FramedDecoder("PROTOBUF", schema)
        : protobufDecoder(typeOfDescriptors(descriptorSet, schema));
    default:
      return isFramed ? new FramedDecoder("JSON", "") : jsonDecoder;
  }
};
