import type { DescMethod, DescService, Message, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { type CallOptions as GrpcCallOptions, type Client as GrpcClient, Metadata } from "@grpc/grpc-js";
import { currentCall, deadlineOf } from "./call-context.ts";
import { callStream } from "./call-stream.ts";
import { callUnary } from "./call-unary.ts";
import { type Channel, OpenChannel } from "./channel.ts";
import { traceparentOf } from "./trace-context.ts";

export interface CallOptions {
  /** Longest time for the whole call. `Infinity` means no deadline and has to be asked for. */
  readonly timeoutMs?: number | undefined;
  /** Cancels the call. The signal of a handler's call brings that call's deadline along. */
  readonly signal?: AbortSignal | undefined;
  readonly metadata?: Readonly<Record<string, string>> | Metadata | undefined;
  /** Waits for a connection until the deadline, where a call would fail at once with UNAVAILABLE. */
  readonly waitForReady?: boolean | undefined;
}

export interface ClientDefaults {
  /** Deadline of unary calls that name none: 15 s unless given. */
  readonly timeoutMs?: number;
  /** Deadline of streams that name none: 30 minutes unless given. */
  readonly streamTimeoutMs?: number;
  /**
   * Methods (by their name in TypeScript) that are tried again on UNAVAILABLE, three times in all, beside those that the
   * contract marks as free of side effects.
   */
  readonly retry?: readonly string[];
}

/** How a method is called. */
export type ClientMethod<M extends DescMethod> = M["methodKind"] extends "unary"
  ? (request: MessageInitShape<M["input"]>, options?: CallOptions) => Promise<MessageShape<M["output"]>>
  : M["methodKind"] extends "server_streaming"
    ? (request: MessageInitShape<M["input"]>, options?: CallOptions) => AsyncIterable<MessageShape<M["output"]>>
    : M["methodKind"] extends "client_streaming"
      ? (
          requests: AsyncIterable<MessageInitShape<M["input"]>>,
          options?: CallOptions,
        ) => Promise<MessageShape<M["output"]>>
      : M["methodKind"] extends "bidi_streaming"
        ? (
            requests: AsyncIterable<MessageInitShape<M["input"]>>,
            options?: CallOptions,
          ) => AsyncIterable<MessageShape<M["output"]>>
        : never;

/** A typed client: one function for each method of the service. */
export type Client<S extends DescService> = { readonly [K in keyof S["method"]]: ClientMethod<S["method"][K]> };

const defaultTimeoutMs = 15_000;
const defaultStreamTimeoutMs = 30 * 60 * 1000;
// The timeout header is read into 32 bits of milliseconds by grpc-js.
const longestTimeoutMs = 24 * 24 * 60 * 60 * 1000;

/** How often a call that may be repeated is made on UNAVAILABLE. */
export const maxAttempts = 3;

/** What it takes to begin one call. */
export interface PreparedCall {
  readonly client: GrpcClient;
  readonly path: string;
  readonly method: string;
  readonly metadata: Metadata;
  readonly options: GrpcCallOptions;
  readonly signal: AbortSignal | undefined;
  /** Whether making it twice does no harm. */
  readonly mayRepeat: boolean;
}

/**
 * A client for a service. Every call has a deadline. A failed call rejects, or ends its iteration, with RpcError. A
 * stream ends its call when its iteration is left early.
 */
export const createClient = <S extends DescService>(
  service: S,
  channel: Channel,
  defaults: ClientDefaults = {},
): Client<S> => {
  if (!(channel instanceof OpenChannel)) {
    throw new TypeError("A client needs a channel of openChannel.");
  }
  const client = channel.connect(serviceConfig(service, defaults));
  const methods: Record<string, unknown> = {};
  for (const method of service.methods) {
    methods[method.localName] = clientMethod(method, client, channel.token, defaults);
  }
  return methods as Client<S>;
};

const clientMethod = (method: DescMethod, client: GrpcClient, token: string | undefined, defaults: ClientDefaults) => {
  const name = `${method.parent.typeName}/${method.name}`;
  const path = `/${name}`;
  const unary = method.methodKind === "unary";
  const mayRepeat = isRepeatable(method, defaults);
  const fallbackMs = unary
    ? (defaults.timeoutMs ?? defaultTimeoutMs)
    : (defaults.streamTimeoutMs ?? defaultStreamTimeoutMs);
  const prepare = (options: CallOptions = {}): PreparedCall => ({
    client,
    path,
    method: name,
    metadata: outgoingMetadata(options, token),
    options: deadlineOptions(options, fallbackMs),
    signal: options.signal,
    mayRepeat,
  });
  switch (method.methodKind) {
    case "unary":
      return (request: Message, options?: CallOptions) => callUnary(method, request, prepare(options));
    case "server_streaming":
      return (request: Message, options?: CallOptions) => callStream.server(method, request, prepare(options));
    case "client_streaming":
      return (requests: AsyncIterable<Message>, options?: CallOptions) =>
        callStream.client(method, requests, prepare(options));
    case "bidi_streaming":
      return (requests: AsyncIterable<Message>, options?: CallOptions) =>
        callStream.bidi(method, requests, prepare(options));
  }
};

const outgoingMetadata = (options: CallOptions, token: string | undefined): Metadata => {
  const given = options.metadata;
  const metadata = given instanceof Metadata ? given.clone() : new Metadata();
  if (given !== undefined && !(given instanceof Metadata)) {
    for (const [key, value] of Object.entries(given)) {
      metadata.set(key, value);
    }
  }
  if (token !== undefined) {
    metadata.set("authorization", `Bearer ${token}`);
  }
  const call = currentCall();
  if (call !== undefined && metadata.get("traceparent").length === 0) {
    metadata.set("traceparent", traceparentOf(call.trace));
  }
  if (options.waitForReady === true) {
    metadata.setOptions({ waitForReady: true });
  }
  return metadata;
};

const deadlineOptions = ({ timeoutMs, signal }: CallOptions, fallbackMs: number): GrpcCallOptions => {
  const ownMs = Date.now() + Math.min(timeoutMs ?? fallbackMs, timeoutMs === Infinity ? Infinity : longestTimeoutMs);
  const inheritedMs = signal === undefined ? undefined : deadlineOf(signal);
  const deadline = Math.min(ownMs, inheritedMs ?? Infinity);
  return Number.isFinite(deadline) ? { deadline } : {};
};

const isRepeatable = (method: DescMethod, { retry = [] }: ClientDefaults): boolean =>
  method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS || retry.includes(method.localName);

const serviceConfig = (service: DescService, defaults: ClientDefaults): object => {
  const again = service.methods.filter((method) => isRepeatable(method, defaults));
  return {
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: again.map((method) => ({
      name: [{ service: service.typeName, method: method.name }],
      retryPolicy: {
        maxAttempts,
        initialBackoff: "0.1s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    })),
  };
};
