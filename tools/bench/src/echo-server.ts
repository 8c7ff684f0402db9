import { Server, ServerCredentials } from "@grpc/grpc-js";

/*
 * The ceiling: a grpc-js server that gives back a fixed answer and does nothing else. Run as a process of its own:
 * `node src/echo-server.ts PORT ANSWER_BYTES`.
 */
const [port, answerBytes] = process.argv.slice(2).map(Number);
if (port === undefined || answerBytes === undefined) throw new Error("usage: echo-server.ts PORT ANSWER_BYTES");
const answer = Buffer.alloc(answerBytes);
const identity = (bytes: Buffer): Buffer => bytes;
const server = new Server({ "grpc.enable_channelz": 0, "grpc.max_receive_message_length": 256 * 1024 * 1024 });
const method = (path: string, stream: boolean) => ({
  path,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});
server.addService(
  { Unary: method("/echo.Echo/Unary", false), Stream: method("/echo.Echo/Stream", true) },
  {
    Unary: (_call: unknown, callback: (error: null, answer: Buffer) => void) => callback(null, answer),
    Stream: (call: import("@grpc/grpc-js").ServerDuplexStream<Buffer, Buffer>) => {
      call.on("data", () => call.write(answer));
      call.on("end", () => call.end());
    },
  },
);
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log("listening");
});
process.on("SIGTERM", () => server.forceShutdown());
