import type { DescMethod } from "@bufbuild/protobuf";
import type { Server } from "@grpc/grpc-js";
import type { AtStream } from "./answer-at-streams.ts";
import { MethodUnimplementedError } from "./call-errors.ts";
import type { CallType, ObservedMethod } from "./call-observer.ts";
import { identity } from "./message-codec.ts";
import { PipelinedStream } from "./pipelined-stream.ts";
import { serveBidi, serveClientStream, serveServerStream } from "./serve-stream.ts";
import { serveUnary } from "./serve-unary.ts";
import type { ServerEnvironment } from "./server-call.ts";
import { RawPipelined, RawUnary, type ServiceImplementation } from "./service-implementation.ts";
import { UnaryStream } from "./unary-stream.ts";

type Registered = ReturnType<
  typeof serveUnary | typeof serveServerStream | typeof serveClientStream | typeof serveBidi
>;

/**
 * Registers each method of a service; one without a handler answers UNIMPLEMENTED.
 * @param atStreams is given the methods that are answered at their HTTP/2 streams, by their paths.
 */
export const registerService = (
  server: Server,
  { service, handlers }: ServiceImplementation,
  environment: ServerEnvironment,
  atStreams: Map<string, AtStream>,
  maxReceiveBytes: number,
): void => {
  for (const method of service.methods) {
    const observed = { service: service.typeName, name: method.name, type: callType(method) };
    const handler = handlers.get(method.localName) ?? unimplemented(method, observed);
    const path = `/${observed.service}/${observed.name}`;
    const added = registerMethod(server, path, method, observed, handler, environment, atStreams, maxReceiveBytes);
    if (!added) {
      throw new TypeError(`${path} is served twice.`);
    }
  }
};

const registerMethod = (
  server: Server,
  path: string,
  method: DescMethod,
  observed: ObservedMethod,
  handler: unknown,
  environment: ServerEnvironment,
  atStreams: Map<string, AtStream>,
  maxReceiveBytes: number,
): boolean => {
  const register = (handle: Registered, type: string) =>
    server.register<Buffer, Buffer>(path, handle, identity, identity, type);
  switch (method.methodKind) {
    case "unary": {
      const handle = serveUnary(method, observed, handler, environment);
      atStreams.set(path, (stream, headers) => new UnaryStream(stream, headers, handle, maxReceiveBytes));
      return register(handle, "unary");
    }
    case "server_streaming":
      return register(serveServerStream(method, observed, handler, environment), "serverStream");
    case "client_streaming":
      return register(serveClientStream(method, observed, handler, environment), "clientStream");
    case "bidi_streaming":
      if (handler instanceof RawPipelined) {
        atStreams.set(
          path,
          (stream, headers) => new PipelinedStream(stream, headers, handler, observed, environment, maxReceiveBytes),
        );
      }
      return register(serveBidi(method, observed, handler, environment), "bidi");
  }
};

const callType = (method: DescMethod): CallType =>
  ({
    unary: "unary" as const,
    server_streaming: "server_stream" as const,
    client_streaming: "client_stream" as const,
    bidi_streaming: "bidi_stream" as const,
  })[method.methodKind];

const unimplemented = (method: DescMethod, { service, name }: ObservedMethod): unknown => {
  const refuse = () => {
    throw new MethodUnimplementedError(`${service}/${name}`);
  };
  // Over bytes, so that a request of a newer contract gets this answer and none about its fields.
  return method.methodKind === "unary" ? new RawUnary(async () => refuse()) : refuse;
};
