import fc from "fast-check";
import { expect, test } from "vitest";
import { halfToNumber, toNumbers, typedView } from "./typed-view.ts";

test("half-precision bits are read as Node's own Float16Array reads them", () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, at) => at);
  const judge = new Float16Array(bits.buffer);
  for (let at = 0; at < bits.length; at++) expect(halfToNumber(at)).toBe(judge[at]);
});

test("a tensor is viewed where it lies when it is aligned, and copied when it is not", () => {
  const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
  fc.assert(
    fc.property(fc.array(fc.double()), fc.integer({ min: 0, max: 15 }), fc.boolean(), (values, offset, isBuffer) => {
      const bytes = new Uint8Array(Float64Array.from(values).buffer);
      const memory = new Uint8Array(offset + bytes.length);
      // What comes from files and sockets is a Buffer, whose slice() copies nothing.
      const data = (isBuffer ? Buffer.from(memory.buffer) : memory).subarray(offset);
      data.set(bytes);
      expect([...toNumbers("FP64", data)]).toEqual(values);
      expect(typedView("FP64", data).buffer === data.buffer).toBe(offset % 8 === 0);
    }),
    { seed },
  );
});
