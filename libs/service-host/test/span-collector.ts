import { Server, ServerCredentials } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";

/** A collector of spans that keeps what it is sent, until the test is over. */
export interface SpanCollector {
  readonly url: string;
  /** Everything that was sent so far, as it came: ids and names can be looked for in it. */
  readonly received: () => Buffer;
}

/** Starts a collector that takes spans over OTLP's gRPC form, and answers each export with an empty message. */
export const startSpanCollector = async (): Promise<SpanCollector> => {
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
  return { url: `http://127.0.0.1:${port}`, received: () => Buffer.concat(received) };
};
