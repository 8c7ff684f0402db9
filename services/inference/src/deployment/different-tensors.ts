import { MillraceError, Reason } from "@millrace/errors";
import { shapeText, type TensorSpec } from "@millrace/tensor";
import type { Servable } from "../serving/servable.ts";

/**
 * Thrown when a version takes or gives other tensors than the one that the deployment gives most traffic: a caller who
 * names no version would get the one or the other by chance.
 */
export class DifferentTensorsError extends MillraceError {
  constructor(version: string, other: string, difference: string) {
    super(
      "FAILED_PRECONDITION",
      Reason.MODEL_INVALID,
      `Version ${version} cannot share traffic with version ${other}: ${difference}. A version without weight and shadow, which callers name, may differ.`,
    );
  }
}

/** What differs between the tensors of two versions, in a sentence; undefined where a caller sees no difference. */
export const tensorDifference = (one: Servable, other: Servable): string | undefined =>
  specDifference("input", one.inputs, other.inputs) ?? specDifference("output", one.outputs, other.outputs);

const specDifference = (
  kind: string,
  specs: readonly TensorSpec[],
  others: readonly TensorSpec[],
): string | undefined => {
  for (const name of new Set([...specs, ...others].map((spec) => spec.name))) {
    const [text, otherText] = [textOf(specs, name), textOf(others, name)];
    if (text !== otherText) return `its ${kind} ${name} is ${text}, the other's ${otherText}`;
  }
  return undefined;
};

const textOf = (specs: readonly TensorSpec[], name: string): string => {
  const spec = specs.find((spec) => spec.name === name);
  return spec === undefined ? "not there" : `${spec.datatype} ${shapeText(spec.shape)}`;
};
