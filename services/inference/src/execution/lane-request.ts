import type { Cancellation } from "@millrace/grpc";
import type { Queued, Tensor } from "@millrace/tensor";
import type { AnswerPlace } from "./answer-order.ts";

/** A request on its way through a lane. */
export interface LaneRequest extends Queued {
  readonly inputs: readonly Tensor[];
  readonly arrivedMs: number;
  readonly read: (outputs: readonly Tensor[]) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: Cancellation | undefined;
  readonly onAbort: (() => void) | undefined;
  /** Where answers leave in order. */
  readonly place: AnswerPlace | undefined;
}

/** Requests can be joined when their inputs are equal in all but the first dimension. */
export const groupOf = (inputs: readonly Tensor[]): string => {
  let group = "";
  for (const { shape } of inputs) {
    for (let axis = 1; axis < shape.length; axis++) group += `${shape[axis]},`;
    group += ";";
  }
  return group;
};
