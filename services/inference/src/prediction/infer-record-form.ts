import type { FeatureInput } from "@millrace/contracts/millrace/model/v1/model_package";
import { type Datatype, decodeBytes, elementCount, halfToNumber, type Tensor, typedView } from "@millrace/tensor";
import type { Servable } from "../serving/servable.ts";
import { int64Bytes, RecordWriter, varintBytes } from "./record-writer.ts";

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

/** How an element of a datatype is logged. */
type Kind = "bool" | "int64" | "float" | "double" | "string";

const kinds: Readonly<Record<Datatype, Kind>> = {
  BOOL: "bool",
  UINT8: "int64",
  UINT16: "int64",
  UINT32: "int64",
  UINT64: "int64",
  INT8: "int64",
  INT16: "int64",
  INT32: "int64",
  INT64: "int64",
  FP16: "float",
  FP32: "float",
  FP64: "double",
  BYTES: "string",
};

/** Tag of a Value of one element, and of a ColumnValues of several. */
const valueTags: Readonly<Record<Kind, number>> = { bool: 0x08, int64: 0x10, double: 0x19, float: 0x25, string: 0x2a };
const listTags: Readonly<Record<Kind, number>> = { bool: 0x0a, int64: 0x12, double: 0x1a, float: 0x22, string: 0x2a };

/** The elements of a tensor, each by its place. */
type Elements =
  | { readonly kind: "bool" | "float" | "double"; readonly values: ArrayLike<number> }
  | { readonly kind: "int64"; readonly values: ArrayLike<number | bigint> }
  | { readonly kind: "string"; readonly values: readonly Uint8Array[] };

const elementsOf = ({ name, datatype, shape, data }: Tensor): Elements => {
  if (datatype === "BYTES") return { kind: "string", values: decodeBytes(name, data, elementCount(shape)) };
  const view = typedView(datatype, data);
  if (datatype === "FP16") return { kind: "float", values: Float32Array.from(view as Uint16Array, halfToNumber) };
  return { kind: kinds[datatype], values: view } as Elements;
};

/**
 * How the rows of one servable are laid out as predictions: what is the same for every row is encoded once.
 *
 * A row's inputs stand in the place of features, under the feature's name where the package binds one to the input.
 * An input of several elements a row has a feature for each, `input[3]`, or one list where they are many.
 */
export class InferRecordForm {
  readonly #prefix: Uint8Array;
  readonly #bindings: ReadonlyMap<string, FeatureInput>;
  /** The encoded names of an input's elements, by input and number of elements. */
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
    const suffix = suffixOf(call);
    const features = inputs.map((input) => this.#inputRows(input, rows));
    const predicted = outputs.map((output) => outputRows(output, rows));
    return (writer, row, id) => {
      writer.field(tags.id, id);
      writer.raw(this.#prefix);
      for (const write of features) write(writer, row);
      for (const write of predicted) write(writer, row);
      writer.raw(suffix);
    };
  }

  #inputRows(input: Tensor, rows: number): (writer: RecordWriter, row: number) => void {
    const elements = elementsOf(input);
    const width = elements.values.length / rows;
    const bound = this.#bindings.get(input.name);
    if (width > mostFeaturesOfInput) {
      const [name = new Uint8Array()] = this.#namesOf(input.name, 1);
      return (writer, row) => writeList(writer, name, elements, row * width, width);
    }
    const names = this.#namesOf(input.name, width);
    return (writer, row) => {
      for (let at = 0; at < width; at++) {
        // Null goes into a graph that reads features as NaN.
        const value = elements.values[row * width + at];
        const isNull = bound !== undefined && typeof value === "number" && Number.isNaN(value);
        writeFeature(writer, names[at] as Uint8Array, elements, row * width + at, isNull);
      }
    };
  }

  /** The name field of each feature of an input. */
  #namesOf(input: string, width: number): readonly Uint8Array[] {
    const key = `${width} ${input}`;
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const name = this.#bindings.get(input)?.feature ?? input;
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

/** The part of a record that all rows of a call have. */
const suffixOf = ({ arrivedMs, answeredMs, latencyMs, traceId }: InferCall): Uint8Array => {
  const writer = new RecordWriter();
  for (const [tag, ms] of [
    [tags.eventTime, arrivedMs],
    [tags.answeredAt, answeredMs],
  ] as const) {
    const seconds = Math.floor(ms / 1000);
    const nanos = Math.floor((ms - seconds * 1000) * 1000) * 1000;
    writer.varint(tag);
    writer.varint(2 + varintBytes(seconds) + varintBytes(nanos));
    writer.varint(0x08);
    writer.varint(seconds);
    writer.varint(0x10);
    writer.varint(nanos);
  }
  writer.varint(tags.latencyUs);
  writer.varint(Math.max(0, Math.round(latencyMs * 1000)));
  if (traceId !== "") writer.field(tags.traceId, Buffer.from(traceId));
  return writer.take();
};

/** An INT64 as it is; a UINT64 that is too large for one saturates, so that its order stays. */
const asInt64 = (value: number | bigint): bigint => {
  const whole = BigInt(value);
  return whole > greatestInt64 ? greatestInt64 : whole;
};
const greatestInt64 = 2n ** 63n - 1n;

const writeFeature = (
  writer: RecordWriter,
  name: Uint8Array,
  elements: Elements,
  at: number,
  isNull: boolean,
): void => {
  const { kind } = elements;
  const valueBytes = isNull ? 0 : 1 + elementBytes(elements, at);
  writer.varint(tags.features);
  writer.varint(name.byteLength + (isNull ? 0 : 1 + varintBytes(valueBytes) + valueBytes));
  writer.raw(name);
  if (isNull) return;
  writer.varint(tags.featureValue);
  writer.varint(valueBytes);
  writer.varint(valueTags[kind]);
  writeElement(writer, elements, at);
};

/** Bytes of one element behind its tag. */
const elementBytes = (elements: Elements, at: number): number => {
  switch (elements.kind) {
    case "bool":
      return 1;
    case "float":
      return 4;
    case "double":
      return 8;
    case "int64":
      return int64Bytes(asInt64(elements.values[at] as number | bigint));
    case "string": {
      const { byteLength } = elements.values[at] as Uint8Array;
      return varintBytes(byteLength) + byteLength;
    }
  }
};

const writeElement = (writer: RecordWriter, elements: Elements, at: number): void => {
  switch (elements.kind) {
    case "bool":
      writer.varint(elements.values[at] === 0 ? 0 : 1);
      return;
    case "float":
      writer.float(elements.values[at] as number);
      return;
    case "double":
      writer.double(elements.values[at] as number);
      return;
    case "int64":
      writer.int64(asInt64(elements.values[at] as number | bigint));
      return;
    case "string": {
      const bytes = elements.values[at] as Uint8Array;
      writer.varint(bytes.byteLength);
      writer.raw(bytes);
    }
  }
};

/** A feature whose value is a list: ServedFeature{name, Value{ColumnValues{…Values{elements}}}}. */
const writeList = (writer: RecordWriter, name: Uint8Array, elements: Elements, from: number, width: number): void => {
  const packed = elements.kind !== "string";
  let bytes = 0;
  for (let at = from; at < from + width; at++) bytes += elementBytes(elements, at) + (packed ? 0 : 1);
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
  writer.varint(listTags[elements.kind]);
  writer.varint(inner);
  if (packed) {
    writer.varint(tags.elements);
    writer.varint(bytes);
  }
  for (let at = from; at < from + width; at++) {
    if (!packed) writer.varint(tags.elements);
    writeElement(writer, elements, at);
  }
};

/** PredictedValue: numbers as doubles, or texts. */
const outputRows = (output: Tensor, rows: number): ((writer: RecordWriter, row: number) => void) => {
  const elements = elementsOf(output);
  const width = elements.values.length / rows;
  const name = nameField(output.name);
  if (elements.kind === "string") {
    return (writer, row) => {
      let bytes = 0;
      for (let at = row * width; at < (row + 1) * width; at++) bytes += 1 + elementBytes(elements, at);
      writer.varint(tags.outputs);
      writer.varint(name.byteLength + bytes);
      writer.raw(name);
      for (let at = row * width; at < (row + 1) * width; at++) {
        writer.varint(tags.outputStrings);
        writeElement(writer, elements, at);
      }
    };
  }
  return (writer, row) => {
    const bytes = 8 * width;
    writer.varint(tags.outputs);
    writer.varint(name.byteLength + 1 + varintBytes(bytes) + bytes);
    writer.raw(name);
    writer.varint(tags.outputValues);
    writer.varint(bytes);
    for (let at = row * width; at < (row + 1) * width; at++) writer.double(Number(elements.values[at]));
  };
};
