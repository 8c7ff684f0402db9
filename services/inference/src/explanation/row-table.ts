import {
  type Datatype,
  decodeBytes,
  elementBytes,
  elementCount,
  encodeBytes,
  type Tensor,
  type TensorSpec,
} from "@millrace/tensor";
import { inputsOf } from "../protocol/model-inputs.ts";
import { ExplainRequestInvalidError } from "./explain-errors.ts";

/** The elements of one input, by row. */
interface InputRows {
  readonly name: string;
  readonly datatype: Datatype;
  /** The shape of a row. */
  readonly rowShape: readonly number[];
  readonly perRow: number;
  readonly data: Uint8Array;
  /** Of BYTES: its elements, whose sizes differ. */
  readonly elements: readonly Uint8Array[] | undefined;
}

/** One element of a row whose contribution is told. */
export interface Unit {
  /** Place of the input. */
  readonly input: number;
  /** Place in the row of the input. */
  readonly element: number;
}

/** Rows of a model's inputs, in the model's order, whose elements can be exchanged one by one. */
export class RowTable {
  readonly rows: number;
  readonly inputs: readonly InputRows[];

  constructor(tensors: readonly Tensor[]) {
    this.rows = tensors[0]?.shape[0] ?? 0;
    this.inputs = tensors.map(({ name, datatype, shape, data }) => {
      const rowShape = shape.slice(1);
      const elements = datatype === "BYTES" ? decodeBytes(name, data, elementCount(shape)) : undefined;
      return { name, datatype, rowShape, perRow: elementCount(rowShape), data, elements };
    });
  }

  /** Every element of a row, input by input. */
  units(): Unit[] {
    return this.inputs.flatMap(({ perRow }, input) =>
      Array.from({ length: perRow }, (_, element) => ({ input, element })),
    );
  }

  /** Whether an element is the same in both rows, bit by bit. */
  hasSame(row: number, other: RowTable, otherRow: number, { input, element }: Unit): boolean {
    const [mine, theirs] = [this.inputs[input], other.inputs[input]];
    if (mine === undefined || theirs === undefined) return false;
    return Buffer.compare(bytesOfElement(mine, row, element), bytesOfElement(theirs, otherRow, element)) === 0;
  }

  /** Some of the rows. */
  chosen(rows: readonly number[]): RowTable {
    const mixed = new MixedRows(this, rows.length);
    for (const row of rows) mixed.addRow(this, row);
    return new RowTable(mixed.tensors());
  }
}

const bytesOfElement = ({ datatype, perRow, data, elements }: InputRows, row: number, element: number): Uint8Array => {
  const place = row * perRow + element;
  if (elements !== undefined) return elements[place] ?? new Uint8Array();
  const size = elementBytes[datatype];
  return data.subarray(place * size, (place + 1) * size);
};

/**
 * Reads rows of a model's inputs.
 * @param field names the rows in errors. @param like rows that these must have the shape of.
 * @throws TensorInvalidError, ExplainRequestInvalidError
 */
export const rowTable = (
  tensors: readonly Tensor[],
  specs: readonly TensorSpec[],
  field: string,
  like?: RowTable,
): RowTable => {
  const open = specs.map((spec) => ({ ...spec, shape: [-1, ...spec.shape.slice(1)] }));
  const table = new RowTable(inputsOf(tensors, open, true, Infinity).inputs);
  if (table.rows === 0) throw new ExplainRequestInvalidError(field, "at least one row", "none");
  for (const [index, { name, rowShape }] of table.inputs.entries()) {
    const other = like?.inputs[index]?.rowShape;
    if (other === undefined || other.join() === rowShape.join()) continue;
    throw new ExplainRequestInvalidError(
      `${field}.${name}`,
      `rows of the shape [${other.join(", ")}], as those that are explained`,
      `[${rowShape.join(", ")}]`,
    );
  }
  return table;
};

/**
 * Rows that are a background row in some elements and the explained row in the others, laid for one run. They are filled
 * in one after the other; a row that goes on from the one before costs a copy of it and one element.
 */
export class MixedRows {
  readonly capacity: number;
  readonly #inputs: readonly InputRows[];
  readonly #data: readonly Uint8Array[];
  readonly #elements: readonly Uint8Array[][];
  #filled = 0;

  constructor({ inputs }: RowTable, capacity: number) {
    this.capacity = capacity;
    this.#inputs = inputs;
    this.#data = inputs.map(({ datatype, perRow }) => new Uint8Array(capacity * perRow * elementBytes[datatype]));
    this.#elements = inputs.map(({ perRow, datatype }) =>
      datatype === "BYTES" ? new Array<Uint8Array>(capacity * perRow).fill(new Uint8Array()) : [],
    );
  }

  get filled(): number {
    return this.#filled;
  }

  /** Adds a row of a table. */
  addRow(table: RowTable, row: number): void {
    this.#fill(table.inputs, row);
  }

  /** Adds the row that was added last once more. */
  addLastRow(): void {
    const last = this.#filled - 1;
    const inputs = this.#inputs.map((input, index) => ({
      ...input,
      data: this.#data[index] ?? input.data,
      elements: input.elements === undefined ? undefined : (this.#elements[index] ?? []),
    }));
    this.#fill(inputs, last);
  }

  /** Gives the row that was added last an element of a table's row. */
  set({ input, element }: Unit, table: RowTable, row: number): void {
    const from = table.inputs[input];
    if (from === undefined) return;
    const place = (this.#filled - 1) * from.perRow + element;
    const bytes = bytesOfElement(from, row, element);
    const own = this.#elements[input];
    if (from.elements !== undefined && own !== undefined) own[place] = bytes;
    else this.#data[input]?.set(bytes, place * elementBytes[from.datatype]);
  }

  /** What was added, as the inputs of a run. */
  tensors(): Tensor[] {
    return this.#inputs.map(({ name, datatype, rowShape, perRow }, index) => {
      const count = this.#filled * perRow;
      const data =
        datatype === "BYTES"
          ? encodeBytes((this.#elements[index] ?? []).slice(0, count))
          : (this.#data[index] ?? new Uint8Array()).subarray(0, count * elementBytes[datatype]);
      return { name, datatype, shape: [this.#filled, ...rowShape], data };
    });
  }

  #fill(inputs: readonly InputRows[], row: number): void {
    for (const [index, { perRow, datatype, data, elements }] of inputs.entries()) {
      const to = this.#filled * perRow;
      if (elements === undefined) {
        const size = perRow * elementBytes[datatype];
        this.#data[index]?.set(data.subarray(row * size, (row + 1) * size), this.#filled * size);
      } else {
        const own = this.#elements[index] ?? [];
        for (let at = 0; at < perRow; at++) own[to + at] = elements[row * perRow + at] ?? new Uint8Array();
      }
    }
    this.#filled++;
  }
}
