import { create } from "@bufbuild/protobuf";
import { ModelInferRequestSchema } from "@millrace/contracts/inference/grpc_service";
import { type CallContext, Metadata } from "@millrace/grpc";
import { describe, expect, test } from "vitest";
import type { InferencePath, TensorCall } from "../serving/inference-path.ts";
import { infer } from "./model-infer.ts";

/** The trace that a request is run in, of a call whose header has another. */
const traceOf = async (traceparent: string | undefined): Promise<string | undefined> => {
  const seen: TensorCall[] = [];
  const path = {
    run: async (call: TensorCall) => {
      seen.push(call);
      return new Uint8Array();
    },
  } as unknown as InferencePath;
  const call = {
    traceId: "of the header",
    signal: new AbortController().signal,
    metadata: new Metadata(),
  } as unknown as CallContext;
  const parameters =
    traceparent === undefined
      ? {}
      : { traceparent: { parameterChoice: { case: "stringParam" as const, value: traceparent } } };
  await infer({ path, memory: undefined }, create(ModelInferRequestSchema, { parameters }), 0, call);
  return seen[0]?.caller.traceId();
};

describe("a request is run in the trace", () => {
  test("that its own parameter names, or else its call's header", async () => {
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    expect(await traceOf(`00-${traceId}-00f067aa0ba902b7-01`)).toBe(traceId);
    expect(await traceOf(undefined)).toBe("of the header");
    expect(await traceOf("nonsense")).toBe("of the header");
  });
});
