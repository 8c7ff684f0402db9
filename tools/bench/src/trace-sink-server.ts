import { Server, ServerCredentials } from "@grpc/grpc-js";

/*
 * Takes traces as an OpenTelemetry collector does, and keeps none. Run as a process of its own:
 * `node src/trace-sink-server.ts PORT`. `/sink.Sink/Bytes` answers how many bytes came, as text.
 */
const [port] = process.argv.slice(2).map(Number);
if (port === undefined) throw new Error("usage: trace-sink-server.ts PORT");
const identity = (bytes: Buffer): Buffer => bytes;
const unary = (path: string) => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});
type Answer = (error: null, answer: Buffer) => void;
let received = 0;
const server = new Server({ "grpc.enable_channelz": 0 });
server.addService(
  {
    Export: unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    Bytes: unary("/sink.Sink/Bytes"),
  },
  {
    Export: ({ request }: { request: Buffer }, callback: Answer) => {
      received += request.byteLength;
      // An ExportTraceServiceResponse without a partial success has no bytes.
      callback(null, Buffer.alloc(0));
    },
    Bytes: (_call: unknown, callback: Answer) => callback(null, Buffer.from(String(received))),
  },
);
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log("listening");
});
process.on("SIGTERM", () => server.forceShutdown());
