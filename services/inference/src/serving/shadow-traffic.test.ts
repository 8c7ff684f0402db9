import { MillraceError, Reason } from "@millrace/errors";
import { bytesOf, type Tensor } from "@millrace/tensor";
import { describe, expect, test } from "vitest";
import type { ObservedRun } from "./inference-path.ts";
import type { ModelRoster } from "./model-roster.ts";
import type { Servable } from "./servable.ts";
import { type ShadowObserver, type ShadowOutcome, ShadowTraffic } from "./shadow-traffic.ts";

const tensor = (name: string, ...values: number[]): Tensor => ({
  name,
  datatype: "FP32",
  shape: [values.length],
  data: bytesOf(Float32Array.from(values)),
});

/** A shadow that answers as the test says. */
const shadowOf = (infer: (inputs: readonly Tensor[], options: object) => Promise<readonly Tensor[]>) => {
  const state = { leases: 0 };
  const shadow = {
    name: "m",
    version: "2",
    alive: true,
    batched: true,
    priorityLevels: 3,
    inputs: [{ name: "b" }, { name: "a" }],
    infer: async (
      inputs: readonly Tensor[],
      _: number,
      options: object,
      read: (outputs: readonly Tensor[]) => unknown,
    ) => read(await infer(inputs, options)),
    lease: () => {
      state.leases++;
      return () => state.leases--;
    },
  } as unknown as Servable;
  return { shadow, state };
};

/** Sends answered calls past shadows, and notes what is told. */
const send = async (shadow: Servable, answers: readonly Tensor[][], maxCopies = 10) => {
  const outcomes: ShadowOutcome[] = [];
  const differences: number[] = [];
  const errors: unknown[] = [];
  const observer: ShadowObserver = {
    onCompared: (_, __, outcome) => outcomes.push(outcome),
    onDifference: (_, __, ___, largest) => differences.push(largest),
    onFailed: (_, __, error) => errors.push(error),
  };
  const roster = { shadowsOf: () => [shadow] } as unknown as ModelRoster;
  const shadows = new ShadowTraffic(roster, maxCopies, observer);
  const run = {
    served: { name: "m", version: "1" },
    inputs: [tensor("a", 1), tensor("b", 2)],
  } as unknown as ObservedRun;
  for (const answer of answers) {
    const tell = shadows.begin(run);
    tell?.(answer);
    // The views that an answer was read from are void now.
    for (const { data } of answer) data.fill(0xff);
  }
  return { outcomes, differences, errors, settled: () => new Promise((resolve) => setTimeout(resolve, 20)) };
};

describe("a shadow", () => {
  test("is given the inputs in its own order at the lowest priority, and compared with the answer as it was", async () => {
    const seen: unknown[] = [];
    const { shadow, state } = shadowOf(async (inputs, options) => {
      seen.push(
        inputs.map(({ name }) => name),
        options,
      );
      return [tensor("y", 1, 2)];
    });
    const sent = await send(shadow, [[tensor("y", 1, 2)], [tensor("y", 1, 4)]]);
    expect(sent.outcomes).toEqual([]);
    await sent.settled();
    expect(sent.outcomes).toEqual(["EQUAL", "DIFFERENT"]);
    expect(sent.differences).toEqual([0, 2]);
    expect(seen.slice(0, 2)).toEqual([["b", "a"], { priority: 3, deadlineMs: expect.any(Number) }]);
    expect(state.leases).toBe(0);
  });

  test("that hangs has so many copies under way, and what is over that is dropped at once", async () => {
    let release = () => {};
    const hangs = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { shadow, state } = shadowOf(async () => {
      await hangs;
      return [tensor("y", 1)];
    });
    const sent = await send(
      shadow,
      Array.from({ length: 5 }, () => [tensor("y", 1)]),
      2,
    );
    expect(sent.outcomes).toEqual(["DROPPED", "DROPPED", "DROPPED"]);
    expect(state.leases).toBe(2);
    release();
    await sent.settled();
    expect(sent.outcomes.slice(3)).toEqual(["EQUAL", "EQUAL"]);
    expect(state.leases).toBe(0);
  });

  test("that fails is counted, and one whose queue is full drops", async () => {
    const reasons = [Reason.MODEL_FAILED, Reason.OVERLOADED];
    const { shadow } = shadowOf(async () => {
      throw new MillraceError("INTERNAL", reasons.shift() ?? Reason.INTERNAL, "It cannot.");
    });
    const sent = await send(shadow, [[tensor("y", 1)], [tensor("y", 1)]]);
    await sent.settled();
    expect(sent.outcomes).toEqual(["FAILED", "DROPPED"]);
    expect(sent.errors).toMatchObject([{ reason: Reason.MODEL_FAILED }]);
  });
});
