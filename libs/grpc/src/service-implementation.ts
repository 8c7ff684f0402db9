import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { CallContext } from "./call-context.ts";

/** An answer whose handler encoded it by itself: bytes of the method's output, which must not change afterwards. */
export class EncodedMessage {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Answers one request with one message. `M` is a method descriptor: `typeof FeatureService.method.getFeatures`. */
export type Unary<M extends DescMethod> = (
  request: MessageShape<M["input"]>,
  call: CallContext,
) => Promise<MessageInitShape<M["output"]> | EncodedMessage>;

/** Answers one request with many messages. */
export type ServerStreaming<M extends DescMethod> = (
  request: MessageShape<M["input"]>,
  call: CallContext,
) => AsyncIterable<MessageInitShape<M["output"]>>;

/** Answers many requests with one message. */
export type ClientStreaming<M extends DescMethod> = (
  requests: AsyncIterable<MessageShape<M["input"]>>,
  call: CallContext,
) => Promise<MessageInitShape<M["output"]>>;

/** Answers many requests with many messages. */
export type BidiStreaming<M extends DescMethod> = (
  requests: AsyncIterable<MessageShape<M["input"]>>,
  call: CallContext,
) => AsyncIterable<MessageInitShape<M["output"]> | EncodedMessage>;

/** A unary handler over the bytes of request and response. It decodes, validates and encodes by itself. */
export class RawUnary {
  readonly handle: (request: Uint8Array, call: CallContext) => Promise<Uint8Array>;
  constructor(handle: (request: Uint8Array, call: CallContext) => Promise<Uint8Array>) {
    this.handle = handle;
  }
}

/**
 * Answers each request of a bidirectional method with one answer, over their bytes: many are under way at once, and
 * answers leave in the order of their requests.
 */
export class RawPipelined {
  readonly answer: (request: Uint8Array, call: CallContext) => Promise<Uint8Array>;
  constructor(answer: (request: Uint8Array, call: CallContext) => Promise<Uint8Array>) {
    this.answer = answer;
  }
}

/**
 * Skips the general codec and the validation of a unary method. The request's bytes are a view into the receive buffer,
 * at no particular alignment, and stay valid as long as they are referenced. The answer's bytes must not change afterwards.
 */
export const rawUnary = (handle: (request: Uint8Array, call: CallContext) => Promise<Uint8Array>): RawUnary =>
  new RawUnary(handle);

/**
 * Answers the requests of a bidirectional method one for one, without the general codec and the validation, as `rawUnary`
 * does. A request that fails is answered with what the method has for that; where `answer` rejects the stream ends, after
 * the answers before it. A caller that does not read its answers is not read from beyond a bound.
 */
export const rawPipelined = (answer: (request: Uint8Array, call: CallContext) => Promise<Uint8Array>): RawPipelined =>
  new RawPipelined(answer);

/** The handler that a method takes. */
export type Handler<M extends DescMethod> = M["methodKind"] extends "unary"
  ? Unary<M> | RawUnary
  : M["methodKind"] extends "server_streaming"
    ? ServerStreaming<M>
    : M["methodKind"] extends "client_streaming"
      ? ClientStreaming<M>
      : M["methodKind"] extends "bidi_streaming"
        ? BidiStreaming<M> | RawPipelined
        : never;

/** A handler for each method of a service, by its name in TypeScript. */
export type Handlers<S extends DescService> = { readonly [K in keyof S["method"]]: Handler<S["method"][K]> };

/** A service and its handlers, ready to be served. */
export interface ServiceImplementation {
  readonly service: DescService;
  /** By the local name of the method; a method that is absent answers UNIMPLEMENTED. */
  readonly handlers: ReadonlyMap<string, unknown>;
}

/**
 * Joins a service's descriptor and handlers. Methods that are left out answer UNIMPLEMENTED with a sentence.
 * @throws TypeError where a handler is no function or has no method.
 */
export const implement = <S extends DescService>(service: S, handlers: Partial<Handlers<S>>): ServiceImplementation => {
  const known = new Set(service.methods.map((method) => method.localName));
  const byName = new Map<string, unknown>();
  for (const [name, handler] of Object.entries(handlers)) {
    if (!known.has(name)) {
      throw new TypeError(`${service.typeName} has no method ${name}: it has ${[...known].join(", ")}.`);
    }
    if (handler === undefined) {
      continue;
    }
    if (typeof handler !== "function" && !(handler instanceof RawUnary) && !(handler instanceof RawPipelined)) {
      throw new TypeError(`The handler of ${service.typeName}/${name} is no function.`);
    }
    byName.set(name, handler);
  }
  return { service, handlers: byName };
};
