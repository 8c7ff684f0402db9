import type { CallContext } from "@millrace/grpc";
import { expect, test } from "vitest";
import { startSpanCollector } from "../test/span-collector.ts";
import { callTraces } from "./call-traces.ts";

/** A call as far as its span goes. */
const callOf = (traceId: string, sampled: boolean) =>
  ({ trace: { traceId, spanId: "00f067aa0ba902b7", parentSpanId: undefined, sampled } }) as unknown as CallContext;

test("a request over HTTP that is recorded has a span by its route and status, and another has none", async () => {
  const collector = await startSpanCollector();
  const traces = callTraces("test", collector.url, 1);
  const [recorded, other] = ["4bf92f3577b34da6a3ce929d0e0e4736", "5bf92f3577b34da6a3ce929d0e0e4736"];
  traces.handledHttp("POST", "v2/models/:model/infer", callOf(recorded, true), 503, 0.25);
  traces.handledHttp("GET", "v2/models/:model", callOf(other, false), 200, 0.25);
  await traces.close();
  const bytes = collector.received();
  expect(bytes.includes(Buffer.from(recorded, "hex"))).toBe(true);
  expect(bytes.includes(Buffer.from(other, "hex"))).toBe(false);
  for (const text of ["POST v2/models/:model/infer", "http.route", "http.response.status_code", "503"]) {
    expect(bytes.includes(text), text).toBe(true);
  }
});
