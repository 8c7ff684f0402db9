import { fromBinary } from "@bufbuild/protobuf";
import { ModelInferResponseSchema, ModelStreamInferResponseSchema } from "@millrace/contracts/inference/grpc_service";
import type { Tensor } from "@millrace/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeInferResponse } from "./infer-response.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
const tensor: fc.Arbitrary<Tensor> = fc.record({
  name: fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }),
  datatype: fc.constantFrom("FP32" as const, "FP16" as const, "INT64" as const, "BOOL" as const),
  shape: fc.array(fc.nat({ max: 2 ** 32 }), { maxLength: 4 }),
  data: fc.uint8Array({ maxLength: 300, size: "max" }),
});
const head = fc.record({
  modelName: fc.string({ unit: "grapheme", minLength: 1 }),
  modelVersion: fc.nat().map(String),
  id: fc.string({ unit: "grapheme", maxLength: 200 }),
});

describe("a raw response", () => {
  test.each([false, true])(
    "that is written by hand is read by the general codec as it was meant (streamed: %s)",
    (streamed) => {
      fc.assert(
        fc.property(head, fc.array(tensor, { maxLength: 3 }), (of, outputs) => {
          // The second time comes from what was kept of the first.
          for (let time = 0; time < 2; time++) {
            const bytes = encodeInferResponse({ ...of, typed: false, streamed }, outputs);
            const response = streamed
              ? fromBinary(ModelStreamInferResponseSchema, bytes).inferResponse
              : fromBinary(ModelInferResponseSchema, bytes);
            expect(response).toMatchObject(of);
            expect(Object.keys(response?.parameters ?? {})).toEqual(streamed ? ["triton_final_response"] : []);
            expect(
              response?.outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map(Number) })),
            ).toEqual(outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })));
            expect(response?.rawOutputContents.map((data) => new Uint8Array(data))).toEqual(
              outputs.map(({ data }) => data),
            );
          }
        }),
        { seed },
      );
    },
  );
});
