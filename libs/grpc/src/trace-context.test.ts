import { describe, expect, test } from "vitest";
import { continueTrace, traceparentOf } from "./trace-context.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";

describe("a trace", () => {
  test("goes on from a valid header with a span of its own", () => {
    for (const flags of ["00", "01"]) {
      const trace = continueTrace(`00-${traceId}-00f067aa0ba902b7-${flags}`);
      expect(trace).toMatchObject({ traceId, parentSpanId: "00f067aa0ba902b7", sampled: flags === "01" });
      expect(traceparentOf(trace)).toBe(`00-${traceId}-${trace.spanId}-${flags}`);
    }
  });

  test("goes on from a header of a later version, whose further parts are left out", () => {
    expect(continueTrace(`cc-${traceId}-00f067aa0ba902b7-01-more`).traceId).toBe(traceId);
  });

  test("begins anew where the header is absent or breaks the W3C rules", () => {
    const broken = [
      undefined,
      "",
      `00-${traceId}-00f067aa0ba902b7`,
      `00-${traceId.toUpperCase()}-00f067aa0ba902b7-01`,
      `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
      `00-${traceId}-${"0".repeat(16)}-01`,
      `00-${traceId}-00f067aa0ba902b7-01-more`,
      `ff-${traceId}-00f067aa0ba902b7-01`,
    ];
    const seen = new Set<string>();
    for (const header of broken) {
      const trace = continueTrace(header);
      expect(trace).toMatchObject({ parentSpanId: undefined, sampled: undefined });
      expect(trace.traceId).toMatch(/^[0-9a-f]{32}$/);
      seen.add(trace.traceId).add(trace.spanId);
    }
    expect(seen.has(traceId)).toBe(false);
    expect(seen.size).toBe(broken.length * 2);
  });
});
