import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { CallContext } from "@millrace/grpc";
import { expect, onTestFinished, test } from "vitest";
import { callTraces } from "./call-traces.ts";

/** A call as far as its span goes. */
const callOf = (traceId: string, sampled: boolean) =>
  ({ trace: { traceId, spanId: "00f067aa0ba902b7", parentSpanId: undefined, sampled } }) as unknown as CallContext;

test("a request over HTTP that is recorded has a span by its route and status, and another has none", async () => {
  const received: Buffer[] = [];
  const collector = new Server();
  const same = (bytes: Buffer) => bytes;
  collector.register<Buffer, Buffer>(
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    (call: { request: Buffer }, respond: (error: null, answer: Buffer) => void) => {
      received.push(call.request);
      respond(null, Buffer.alloc(0));
    },
    same,
    same,
    "unary",
  );
  const port = await new Promise<number>((resolve, reject) => {
    collector.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  onTestFinished(() => collector.forceShutdown());
  const traces = callTraces("test", `http://127.0.0.1:${port}`, 1);
  const [recorded, other] = ["4bf92f3577b34da6a3ce929d0e0e4736", "5bf92f3577b34da6a3ce929d0e0e4736"];
  traces.handledHttp("POST", "v2/models/:model/infer", callOf(recorded, true), 503, 0.25);
  traces.handledHttp("GET", "v2/models/:model", callOf(other, false), 200, 0.25);
  await traces.close();
  const bytes = Buffer.concat(received);
  expect(bytes.includes(Buffer.from(recorded, "hex"))).toBe(true);
  expect(bytes.includes(Buffer.from(other, "hex"))).toBe(false);
  for (const text of ["POST v2/models/:model/infer", "http.route", "http.response.status_code", "503"]) {
    expect(bytes.includes(text), text).toBe(true);
  }
});
