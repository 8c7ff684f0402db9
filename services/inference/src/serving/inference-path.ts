import { MillraceError, Reason } from "@millrace/errors";
import type { InFlightBytes } from "@millrace/rest";
import { type Tensor, TensorInvalidError } from "@millrace/tensor";
import type { InferOptions } from "../execution/lane-options.ts";
import { inputsOf } from "../protocol/model-inputs.ts";
import type { RawExchange } from "../protocol/raw-exchange.ts";
import type { ModelRoster } from "./model-roster.ts";
import type { Servable } from "./servable.ts";
import type { RoutingKeys } from "./traffic-rules.ts";

/** Thrown when a message is larger than the deployment of its model allows. */
export class MessageTooLargeError extends MillraceError {
  constructor(model: string, maxBytes: number, bytes: number) {
    super(
      "RESOURCE_EXHAUSTED",
      Reason.TOO_LARGE,
      `A request to ${model} may have ${maxBytes} bytes; this one has ${bytes}.`,
      { metadata: { maxMessageBytes: String(maxBytes) } },
    );
  }
}

/** Who calls, and how long they wait: the same for every protocol. */
export interface Caller extends InferOptions, RoutingKeys {
  /** A trace is made up where the caller names none: only for those who ask. */
  readonly traceId: () => string | undefined;
}

/** A call that runs a model on tensors, over whichever protocol it came. */
export interface TensorCall {
  readonly model: string;
  /** Empty for whoever the traffic rules choose. */
  readonly version: string;
  /** The caller's id of the request; may be empty. */
  readonly id: string;
  /** The size of the whole message, and of what of it lies in shared memory. */
  readonly messageBytes: number;
  /** Reads the tensors, in the caller's order. Called once it is known who answers. @throws TensorInvalidError */
  readonly tensors: (served: Servable) => readonly Tensor[];
  /** The names of the outputs that are asked for, in that order; empty for all. */
  readonly outputs: readonly string[];
  readonly caller: Caller;
  /** The bodies of a call over HTTP, for payload logs: see RawExchange. */
  readonly exchange?: RawExchange | undefined;
}

/** One run on its way: what an observer is told. */
export interface ObservedRun {
  readonly served: Servable;
  readonly id: string;
  /** In the model's order; valid as long as they are referenced, and never changed. */
  readonly inputs: readonly Tensor[];
  /** The first dimension of every input where the model is batched; 1 otherwise. */
  readonly rows: number;
  readonly caller: Caller;
  /** Whether it is part of a prediction by entity, which is logged with its features by whoever makes it. */
  readonly byEntity?: boolean | undefined;
  /** The bodies of a call over HTTP; undefined where it came over gRPC. */
  readonly exchange?: RawExchange | undefined;
}

/**
 * Sees every run of a call: shadows, logs. It is asked before the run, and answers a function that is given the outputs,
 * as views that are void when it returns; or undefined where it has no interest. It must not throw, and never delays.
 */
export interface RunObserver {
  begin(run: ObservedRun): ((outputs: readonly Tensor[]) => void) | undefined;
}

/** The way of a call from its tensors to its answer: who answers, do the inputs fit, run, and who else is to know. */
export class InferencePath {
  readonly #roster: ModelRoster;
  readonly #inFlight: InFlightBytes;
  readonly #observers: readonly RunObserver[];

  constructor(roster: ModelRoster, inFlight: InFlightBytes, observers: readonly RunObserver[] = []) {
    this.#roster = roster;
    this.#inFlight = inFlight;
    this.#observers = observers;
  }

  /**
   * Runs a model on a call's tensors.
   * @param encode is given the requested outputs as views that are void when it returns, and makes the answer at once.
   * @throws ModelUnknownError, ModelNotReadyError, MessageTooLargeError, TooManyBytesInFlightError, TensorInvalidError, and
   *   what the run throws.
   */
  async run<R>(call: TensorCall, encode: (served: Servable, outputs: readonly Tensor[]) => R): Promise<R> {
    const { model, version, messageBytes, caller } = call;
    const served = this.#roster.find(model, version, caller);
    if (served.maxMessageBytes !== undefined && messageBytes > served.maxMessageBytes) {
      throw new MessageTooLargeError(model, served.maxMessageBytes, messageBytes);
    }
    this.#inFlight.acquire(messageBytes);
    try {
      const { inputs, rows } = inputsOf(call.tensors(served), served.inputs, served.batched, served.maxBatchSize);
      const order = outputOrder(call.outputs, served.outputs);
      return await this.runOn({ served, id: call.id, inputs, rows, caller, exchange: call.exchange }, (outputs) =>
        encode(served, order === undefined ? outputs : order.flatMap((place) => outputs[place] ?? [])),
      );
    } finally {
      this.#inFlight.release(messageBytes);
    }
  }

  /** Runs inputs that are in order, on what was chosen before. */
  runOn<R>(run: ObservedRun, read: (outputs: readonly Tensor[]) => R): Promise<R> {
    const { served, inputs, rows, caller } = run;
    if (this.#observers.length === 0) return served.infer(inputs, rows, caller, read);
    const told = this.#observers.flatMap((observer) => observer.begin(run) ?? []);
    if (told.length === 0) return served.infer(inputs, rows, caller, read);
    return served.infer(inputs, rows, caller, (outputs) => {
      const answer = read(outputs);
      for (const tell of told) tell(outputs);
      return answer;
    });
  }
}

/** The requested outputs as places in the model's order; undefined for all of them. */
const outputOrder = (
  requested: readonly string[],
  outputs: readonly { readonly name: string }[],
): readonly number[] | undefined => {
  if (requested.length === 0) return undefined;
  return requested.map((name) => {
    const place = outputs.findIndex((output) => output.name === name);
    if (place < 0) {
      const names = outputs.map((output) => output.name).join(", ");
      throw new TensorInvalidError({
        field: `outputs.${name}`,
        expected: `one of the model's outputs: ${names}`,
        got: name,
      });
    }
    return place;
  });
};
