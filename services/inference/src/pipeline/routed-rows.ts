import {
  decodeBytes,
  elementBytes,
  elementCount,
  encodeBytes,
  ModelFailedError,
  type Tensor,
  TensorInvalidError,
} from "@millrace/tensor";
import { conditionText, type RouterPlan, routedValues, takes } from "./router-plan.ts";

/**
 * Which rows go to which model, the rows in their order. Models without rows are left out; a request without any rows
 * goes to the first, whole.
 * @param tensor the router's, one element a row.
 * @throws TensorInvalidError naming the first row that no route takes, where there is no `otherwise`.
 */
export const routeRows = (router: RouterPlan, tensor: Tensor): ReadonlyMap<string, readonly number[]> => {
  const [rows = 0, ...rest] = tensor.shape;
  if (elementCount(rest) !== 1) {
    throw new TensorInvalidError({
      field: `${router.tensor}.shape`,
      expected: "one element a row",
      got: `[${tensor.shape.join(", ")}]`,
    });
  }
  const routed = new Map<string, number[]>();
  if (rows === 0) return new Map([[router.models[0] ?? "", []]]);
  for (const [row, value] of routedValues(tensor, rows).entries()) {
    const route = router.routes.find(
      ({ condition }) => condition !== undefined && takes(condition, value, tensor.datatype),
    );
    const model = route?.model ?? router.otherwise;
    if (model === "") {
      throw new TensorInvalidError({
        field: `${router.tensor}[${row}]`,
        expected: `a value that a route takes: ${router.routes.map(({ condition }) => conditionText(condition)).join(", ")}`,
        got: String(value),
      });
    }
    const own = routed.get(model);
    if (own === undefined) routed.set(model, [row]);
    else own.push(row);
  }
  return routed;
};

/** Some rows of a tensor, one after the other, in memory of their own. */
export const gatherRows = (tensor: Tensor, rows: readonly number[]): Tensor => {
  const { name, datatype, shape, data } = tensor;
  const rest = shape.slice(1);
  const perRow = elementCount(rest);
  if (datatype === "BYTES") {
    const elements = decodeBytes(name, data, elementCount(shape));
    const own = rows.flatMap((row) => elements.slice(row * perRow, (row + 1) * perRow));
    return { name, datatype, shape: [rows.length, ...rest], data: encodeBytes(own) };
  }
  const rowBytes = perRow * elementBytes[datatype];
  const gathered = new Uint8Array(rows.length * rowBytes);
  for (const [place, row] of rows.entries()) {
    gathered.set(data.subarray(row * rowBytes, (row + 1) * rowBytes), place * rowBytes);
  }
  return { name, datatype, shape: [rows.length, ...rest], data: gathered };
};

/**
 * Brings the rows that several models answered back into the order of the request. What is added is copied at once, so
 * that it may be a view that is void afterwards.
 */
export class MergedRows {
  readonly #rows: number;
  readonly #tensors: (MergedTensor | undefined)[] = [];

  /** @param rows of the whole request. */
  constructor(rows: number) {
    this.#rows = rows;
  }

  /**
   * Adds what a model answered for some of the rows.
   * @throws ModelFailedError where its rows are not as many, or have another shape than those of another model.
   */
  add(rows: readonly number[], outputs: readonly (Tensor | undefined)[]): void {
    for (const [index, output] of outputs.entries()) {
      if (output === undefined) continue;
      if (output.shape[0] !== rows.length) {
        throw new ModelFailedError(
          `The output ${output.name} has ${output.shape[0] ?? "no"} rows for ${rows.length} rows of input.`,
        );
      }
      let merged = this.#tensors[index];
      if (merged === undefined) {
        merged = newMerged(output, this.#rows);
        this.#tensors[index] = merged;
      }
      if (merged.rest.join() !== output.shape.slice(1).join()) {
        throw new ModelFailedError(
          `The output ${output.name} has the shape [${output.shape.join(", ")}], and another route's rows the shape [${merged.rest.join(", ")}].`,
        );
      }
      addRows(merged, rows, output);
    }
  }

  /** The whole answers, by the places that they were added at. */
  tensors(): (Tensor | undefined)[] {
    return this.#tensors.map((merged) => {
      if (merged === undefined) return undefined;
      const { name, datatype, rest, data, elements } = merged;
      const shape = [this.#rows, ...rest];
      return { name, datatype, shape, data: elements === undefined ? data : encodeBytes(elements) };
    });
  }
}

interface MergedTensor extends Pick<Tensor, "name" | "datatype" | "data"> {
  /** The shape of a row. */
  readonly rest: readonly number[];
  /** Of BYTES: its elements, whose sizes differ; they are laid out when all are there. */
  readonly elements: Uint8Array[] | undefined;
}

const newMerged = ({ name, datatype, shape }: Tensor, rows: number): MergedTensor => {
  const rest = shape.slice(1);
  const count = rows * elementCount(rest);
  return {
    name,
    datatype,
    rest,
    data: new Uint8Array(count * elementBytes[datatype]),
    elements: datatype === "BYTES" ? new Array<Uint8Array>(count).fill(new Uint8Array()) : undefined,
  };
};

const addRows = (merged: MergedTensor, rows: readonly number[], { name, datatype, shape, data }: Tensor): void => {
  const perRow = elementCount(merged.rest);
  if (merged.elements !== undefined) {
    const own = decodeBytes(name, new Uint8Array(data), elementCount(shape));
    for (const [place, row] of rows.entries()) {
      for (let at = 0; at < perRow; at++) {
        merged.elements[row * perRow + at] = own[place * perRow + at] ?? new Uint8Array();
      }
    }
    return;
  }
  const rowBytes = perRow * elementBytes[datatype];
  for (const [place, row] of rows.entries()) {
    merged.data.set(data.subarray(place * rowBytes, (place + 1) * rowBytes), row * rowBytes);
  }
};
