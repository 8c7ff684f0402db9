import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Server } from "@grpc/grpc-js";

/** Answers a call at its HTTP/2 stream, whose headers have come. */
export type AtStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

type StreamHandler = (interceptors: unknown, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/**
 * Answers calls at their HTTP/2 streams, past the call objects, interceptors and decoders of grpc-js, which cost as much
 * again as HTTP/2 itself and leave garbage that stops the process for tens of milliseconds: see docs/decisions/0011.
 * Sessions, credentials, keepalive and drain stay grpc-js's; so do other streaming calls and requests that are compressed.
 * On the wire it is the same: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
 *
 * grpc-js has no option for it: this takes the place of the method that its HTTP/2 servers are given. Call it before bind.
 * @param methods by path: `/package.Service/Method`. grpc-js must know them as well.
 * @throws Error where grpc-js no longer has that method.
 */
export const answerAtStreams = (server: Server, methods: ReadonlyMap<string, AtStream>): void => {
  const holder = server as unknown as { _streamHandler?: StreamHandler };
  const others = holder._streamHandler;
  if (typeof others !== "function") {
    throw new Error("This version of @grpc/grpc-js takes its streams elsewhere: calls cannot be answered at them.");
  }
  holder._streamHandler = (interceptors, stream, headers) => {
    const answer = methods.get(headers[":path"] ?? "");
    if (answer === undefined || !isPlain(headers)) others.call(server, interceptors, stream, headers);
    else answer(stream, headers);
  };
};

/** Whether it is a gRPC call whose messages are not compressed; grpc-js answers what is not. */
const isPlain = (headers: IncomingHttpHeaders): boolean => {
  const encoding = headers["grpc-encoding"];
  return (
    (encoding === undefined || encoding === "identity") &&
    headers["content-type"]?.startsWith("application/grpc") === true
  );
};
