import type { FeatureInput } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Tensor } from "@millrace/tensor";
import type { Servable } from "../serving/servable.ts";
import { LoggedElements } from "./logged-elements.ts";
import { RecordWriter, varintBytes } from "./record-writer.ts";

/** Inputs with more elements a row than this are logged as one list; others have a feature for each element. */
const mostFeaturesOfInput = 16;

/** Field numbers and wire types of millrace.event.v1.Prediction and of the messages in it. */
const tags = {
  id: 0x0a,
  model: 0x12,
  modelVersion: 0x1a,
  packageDigest: 0x22,
  packageRepository: 0x2a,
  eventTime: 0x32,
  answeredAt: 0x3a,
  features: 0x4a,
  outputs: 0x52,
  latencyUs: 0x58,
  traceId: 0x62,
  name: 0x0a,
  featureValue: 0x12,
  outputValues: 0x12,
  outputStrings: 0x1a,
  list: 0x42,
  elements: 0x0a,
} as const;

/** What the rows of one call have in common. */
export interface InferCall {
  readonly arrivedMs: number;
  readonly answeredMs: number;
  readonly latencyMs: number;
  /** Empty where the call was not traced. */
  readonly traceId: string;
}

/**
 * How the rows of one servable are laid out as predictions: what is the same for every row is encoded once.
 *
 * A row's inputs stand in the place of features, under the feature's name where the package binds one to the input.
 * An input of several elements a row has a feature for each, `input[3]`, or one list where they are many.
 */
export class InferRecordForm {
  readonly #prefix: Uint8Array;
  readonly #bindings: ReadonlyMap<string, FeatureInput>;
  /** The encoded names of an input's elements, or of an output, by name and number of elements. */
  readonly #names = new Map<string, readonly Uint8Array[]>();

  constructor({ name, version, origin }: Servable) {
    const writer = new RecordWriter();
    for (const [tag, text] of [
      [tags.model, name],
      [tags.modelVersion, version],
      [tags.packageDigest, origin.digest],
      [tags.packageRepository, origin.repository],
    ] as const) {
      if (text !== "") writer.field(tag, Buffer.from(text));
    }
    this.#prefix = writer.take();
    this.#bindings = new Map(origin.manifest?.features?.inputs.map((input) => [input.input, input]));
  }

  /**
   * Reads the tensors of a call, once, and answers what encodes one row of them.
   * @param rows the first dimension of each where they have rows; 1 for tensors that are one row as a whole.
   */
  rows(
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    rows: number,
    call: InferCall,
  ): (writer: RecordWriter, row: number, id: Uint8Array) => void {
    const features = inputs.map((input) => new LoggedElements(input));
    const predicted = outputs.map((output) => new LoggedElements(output));
    return (writer, row, id) => {
      writer.field(tags.id, id);
      writer.raw(this.#prefix);
      for (const elements of features) this.#writeInput(writer, elements, row, elements.count / rows);
      for (const elements of predicted) this.#writeOutput(writer, elements, row, elements.count / rows);
      writeCall(writer, call);
    };
  }

  #writeInput(writer: RecordWriter, elements: LoggedElements, row: number, width: number): void {
    const from = row * width;
    if (width > mostFeaturesOfInput) {
      const [name = new Uint8Array()] = this.#namesOf(elements.name, 1);
      writeList(writer, name, elements, from, width);
      return;
    }
    const names = this.#namesOf(elements.name, width);
    const bound = this.#bindings.has(elements.name);
    for (let at = 0; at < width; at++) {
      // Null goes into a graph that reads features as NaN.
      const isNull = bound && elements.isNotANumber(from + at);
      writeFeature(writer, names[at] as Uint8Array, elements, from + at, isNull);
    }
  }

  /** PredictedValue: numbers as doubles, or texts. */
  #writeOutput(writer: RecordWriter, elements: LoggedElements, row: number, width: number): void {
    const [name = new Uint8Array()] = this.#namesOf(elements.name, 1);
    const from = row * width;
    writer.varint(tags.outputs);
    if (elements.kind !== "string") {
      const bytes = 8 * width;
      writer.varint(name.byteLength + 1 + varintBytes(bytes) + bytes);
      writer.raw(name);
      writer.varint(tags.outputValues);
      writer.varint(bytes);
      for (let at = from; at < from + width; at++) writer.double(elements.number(at));
      return;
    }
    let bytes = 0;
    for (let at = from; at < from + width; at++) bytes += 1 + elements.bytesOf(at);
    writer.varint(name.byteLength + bytes);
    writer.raw(name);
    for (let at = from; at < from + width; at++) {
      writer.varint(tags.outputStrings);
      elements.write(writer, at);
    }
  }

  /** The name field of each feature of an input, or of an output. */
  #namesOf(tensor: string, width: number): readonly Uint8Array[] {
    const key = width === 1 ? tensor : `${tensor}[${width}]`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = this.#bindings.get(tensor)?.feature ?? tensor;
    const names = Array.from({ length: width }, (_, at) => nameField(width === 1 ? name : `${name}[${at}]`));
    this.#names.set(key, names);
    return names;
  }
}

const nameField = (name: string): Uint8Array => {
  const writer = new RecordWriter();
  writer.field(tags.name, Buffer.from(name));
  return writer.take();
};

/** The part of a record that all rows of a call have alike. */
const writeCall = (writer: RecordWriter, { arrivedMs, answeredMs, latencyMs, traceId }: InferCall): void => {
  writeTime(writer, tags.eventTime, arrivedMs);
  writeTime(writer, tags.answeredAt, answeredMs);
  writer.varint(tags.latencyUs);
  writer.varint(Math.max(0, Math.round(latencyMs * 1000)));
  // Hexadecimal digits: as many bytes as characters.
  if (traceId !== "") writer.latin1(tags.traceId, traceId);
};

const writeTime = (writer: RecordWriter, tag: number, ms: number): void => {
  const seconds = Math.floor(ms / 1000);
  const nanos = Math.floor((ms - seconds * 1000) * 1000) * 1000;
  writer.varint(tag);
  writer.varint(2 + varintBytes(seconds) + varintBytes(nanos));
  writer.varint(0x08);
  writer.varint(seconds);
  writer.varint(0x10);
  writer.varint(nanos);
};

const writeFeature = (
  writer: RecordWriter,
  name: Uint8Array,
  elements: LoggedElements,
  at: number,
  isNull: boolean,
): void => {
  const valueBytes = isNull ? 0 : 1 + elements.bytesOf(at);
  writer.varint(tags.features);
  writer.varint(name.byteLength + (isNull ? 0 : 1 + varintBytes(valueBytes) + valueBytes));
  writer.raw(name);
  if (isNull) return;
  writer.varint(tags.featureValue);
  writer.varint(valueBytes);
  writer.varint(elements.valueTag);
  elements.write(writer, at);
};

/** A feature whose value is a list: ServedFeature{name, Value{ColumnValues{…Values{elements}}}}. */
const writeList = (
  writer: RecordWriter,
  name: Uint8Array,
  elements: LoggedElements,
  from: number,
  width: number,
): void => {
  const packed = elements.kind !== "string";
  const bytes = elements.bytesOfRange(from, from + width) + (packed ? 0 : width);
  const inner = packed ? 1 + varintBytes(bytes) + bytes : bytes;
  const column = 1 + varintBytes(inner) + inner;
  const value = 1 + varintBytes(column) + column;
  writer.varint(tags.features);
  writer.varint(name.byteLength + 1 + varintBytes(value) + value);
  writer.raw(name);
  writer.varint(tags.featureValue);
  writer.varint(value);
  writer.varint(tags.list);
  writer.varint(column);
  writer.varint(elements.listTag);
  writer.varint(inner);
  if (packed) {
    writer.varint(tags.elements);
    writer.varint(bytes);
    elements.writeRange(writer, from, from + width);
    return;
  }
  for (let at = from; at < from + width; at++) {
    writer.varint(tags.elements);
    elements.write(writer, at);
  }
};
