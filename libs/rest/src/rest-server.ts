import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { MillraceError } from "@millrace/errors";
import {
  type BearerTokens,
  type CallContext,
  CannotListenError,
  isLoopback,
  ReloadingCertificates,
  runInCall,
  type ServerTls,
  UnauthenticatedError,
} from "@millrace/grpc";
import { InFlightBytes } from "./in-flight-bytes.ts";
import { readBody } from "./read-body.ts";
import type { RestAnswer } from "./rest-answer.ts";
import { RestCall } from "./rest-call.ts";
import { errorAnswer } from "./rest-error.ts";
import type { RestRoute } from "./rest-route.ts";
import { RestRouter } from "./rest-router.ts";
import { sendAnswer } from "./send-answer.ts";
import type { WritableJson } from "./write-json.ts";

export interface RestServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly tls?: ServerTls | undefined;
  /** With tokens, every request but those of open routes must carry one. */
  readonly tokens?: BearerTokens | undefined;
  readonly allowPlaintext?: boolean | undefined;
  /** Largest body in bytes, also after it was inflated. */
  readonly maxReceiveBytes: number;
  /** Most bytes that all bodies on their way may have. */
  readonly maxInFlightBytes: number;
  readonly routes: readonly RestRoute[];
  /** The body of an error's answer, from its message. Default: `{"error": message}`. */
  readonly errorBody?: ((message: string) => WritableJson) | undefined;
  readonly onAnswered: RestObserver;
  /** Decides whether a trace that begins here is recorded; a caller's own decision goes first. None is, unless given. */
  readonly sampleTrace?: ((traceId: string) => boolean) | undefined;
  /** Is given what a caller does not see whole: a defect, or the cause underneath an error. */
  readonly onFailure: (error: unknown, method: string, traceId: string) => void;
}

/** A request that was answered. */
export interface AnsweredRequest {
  readonly call: CallContext;
  readonly method: string;
  /** The path with its parts' names: `v2/models/:model[/versions/:version]/infer`; `unknown` where there is no such path. */
  readonly route: string;
  readonly status: number;
}

/** Is told of each request that was answered. */
export type RestObserver = (answered: AnsweredRequest, seconds: number) => void;

/** Time that a connection may be idle before it is closed. Longer than balancers keep theirs, which else meet a closed one. */
const keepAliveMs = 75_000;
/** Time that a request may take until all of it has come: who sends a byte now and then holds a connection no longer. */
const requestTimeoutMs = 120_000;

/**
 * A REST form on a port of its own. It listens with the same TLS files and tokens as the gRPC port. At a stop
 * it takes no new connections, closes those that are idle, and answers what it has taken.
 */
export class RestServer {
  readonly #options: RestServerOptions;
  readonly #router: RestRouter;
  readonly #server: Server;
  readonly #draining = new AbortController();
  readonly #stopWatching: () => void;
  /** The bodies that are on their way. */
  readonly #coming: InFlightBytes;
  /** The last response of each connection. */
  readonly #latest = new WeakMap<Socket, ServerResponse>();
  /** The connections, and how many requests of each are not answered. */
  readonly #connections = new Map<Socket, number>();
  /** Connections of a TLS port whose handshake is not over, by where they come from. */
  readonly #handshakes = new Map<string, Socket>();

  private constructor(options: RestServerOptions, server: Server, stopWatching: () => void) {
    this.#options = options;
    this.#router = new RestRouter(options.routes);
    this.#coming = new InFlightBytes(options.maxInFlightBytes);
    this.#server = server;
    this.#stopWatching = stopWatching;
    server.keepAliveTimeout = keepAliveMs;
    server.requestTimeout = requestTimeoutMs;
    if (options.tls !== undefined) {
      server.on("connection", (socket: Socket) => {
        const origin = originOf(socket);
        this.#handshakes.set(origin, socket);
        socket.once("close", () => this.#handshakes.delete(origin));
      });
    }
    server.on(options.tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
      this.#handshakes.delete(originOf(socket));
      this.#connections.set(socket, 0);
      // Each request of a connection that sends several ahead waits for its end.
      socket.setMaxListeners(0);
      socket.once("close", () => this.#connections.delete(socket));
    });
    server.on("request", (request, response) => void this.#answer(request, response));
    // Otherwise Node says "continue" by itself, and a body that is refused anyway is sent.
    server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
      if (Number(request.headers["content-length"] ?? 0) <= options.maxReceiveBytes) {
        response.writeContinue();
        // The caller sends from now on, and does not wait any more.
        delete request.headers.expect;
      }
      void this.#answer(request, response);
    });
  }

  /**
   * Listens.
   * @throws CannotListenError where the port is taken, the TLS files do not fit, or the address is beyond loopback without
   *   TLS and without tokens.
   */
  static async listen(options: RestServerOptions): Promise<RestServer> {
    const { host, tls, tokens, allowPlaintext } = options;
    if (!isLoopback(host) && tls === undefined && tokens === undefined && allowPlaintext !== true) {
      throw new CannotListenError(
        `Refusing to listen on ${host}: an address beyond loopback needs TLS files or a token file.`,
      );
    }
    const { server, stopWatching } = tls === undefined ? plainServer() : tlsServer(tls);
    const rest = new RestServer(options, server, stopWatching);
    try {
      await listening(server, options);
    } catch (error) {
      stopWatching();
      throw error;
    }
    return rest;
  }

  /** Where callers reach it, such as `127.0.0.1:8000`. */
  get address(): string {
    const { host } = this.#options;
    return `${host.includes(":") ? `[${host}]` : host}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Serves until the signal is aborted, and then until what was taken is answered. */
  async run(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    }
    this.#draining.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // Also those that never sent anything, which Node does not count as idle.
    for (const [socket, open] of this.#connections) if (open === 0) socket.destroy();
    for (const socket of this.#handshakes.values()) socket.destroy();
    await closed;
  }

  /** Cuts off what is left. */
  close(): void {
    this.#stopWatching();
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#handshakes.values()) socket.destroy();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedMs = performance.now();
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const call = new RestCall(request, path, this.#draining.signal, this.#options.sampleTrace);
    const { socket } = request;
    const onGone = () => call.cancel();
    socket.once("close", onGone);
    this.#count(socket, 1);
    // A caller that resets its connection is told of by "close".
    response.on("error", () => {});
    let route = "unknown";
    let answer: RestAnswer;
    const previous = this.#latest.get(socket);
    this.#latest.set(socket, response);
    // Node hands over every request of a connection at once, and would hold all of their answers.
    if (previous !== undefined) await over(previous, socket);
    try {
      const found = this.#router.find(request.method ?? "GET", path);
      route = found.route.path;
      this.#authenticate(found.route, request, call);
      answer = await runInCall(call, () =>
        found.route.answer({
          call,
          part: (name) => found.parts.get(name) ?? "",
          body: () => readBody(request, this.#options.maxReceiveBytes, this.#coming),
        }),
      );
    } catch (error) {
      answer = errorAnswer(error, call.traceId, this.#options.errorBody);
      this.#report(error, answer.status, call);
    }
    const id = call.header("x-request-id");
    // What was not read to its end is not waited for: the connection ends with the answer.
    const closes = this.#draining.signal.aborted || (!request.complete && hasBody(request));
    const headers = { ...(id === undefined ? {} : { "x-request-id": id }), ...(closes ? { connection: "close" } : {}) };
    try {
      await sendAnswer(request, response, answer, headers);
    } catch (error) {
      this.#options.onFailure(error, call.method, call.traceId);
      response.destroy();
    }
    socket.off("close", onGone);
    this.#count(socket, -1);
    this.#options.onAnswered({ call, method: request.method ?? "", route, status: answer.status }, seconds(startedMs));
  }

  #count(socket: Socket, change: number): void {
    const open = this.#connections.get(socket);
    if (open !== undefined) this.#connections.set(socket, open + change);
  }

  #authenticate(route: RestRoute, request: IncomingMessage, call: RestCall): void {
    const { tokens, tls } = this.#options;
    if (tokens === undefined) {
      const { socket } = request;
      if (tls?.clientCaFile === undefined || !(socket instanceof TLSSocket)) return;
      const name: unknown = socket.getPeerCertificate().subject?.CN;
      call.principal = typeof name === "string" ? name : undefined;
      return;
    }
    if (route.open === true) return;
    const header = call.header("authorization");
    if (header === undefined) {
      throw new UnauthenticatedError("This server needs a bearer token in the header `authorization`; none came.");
    }
    call.principal = tokens.principalOf(header);
    if (call.principal === undefined) {
      throw new UnauthenticatedError("The bearer token in the header `authorization` is not valid here.");
    }
  }

  #report(error: unknown, status: number, call: RestCall): void {
    const whole = error instanceof MillraceError && error.details.cause === undefined && status !== 500;
    if (!whole && !call.signal.aborted) this.#options.onFailure(error, call.method, call.traceId);
  }
}

/** A socket and the TLS socket on top of it have it in common, and no other connection has it. */
const originOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/** Waits until a response was sent, or its connection is closed. */
const over = (response: ServerResponse, socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (response.closed || socket.destroyed) {
      resolve();
      return;
    }
    response.once("close", resolve);
    socket.once("close", resolve);
  });

const seconds = (startedMs: number): number => (performance.now() - startedMs) / 1000;

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;

const plainServer = () => ({ server: createServer(), stopWatching: () => {} });

/** A server whose certificates are read again while it listens. */
const tlsServer = ({ certificateFile, privateKeyFile, clientCaFile, refreshMs = 10_000 }: ServerTls) => {
  const certificates = new ReloadingCertificates({ certificateFile, privateKeyFile, caFile: clientCaFile, refreshMs });
  const mutual = clientCaFile !== undefined;
  const server = createTlsServer({ requestCert: mutual, rejectUnauthorized: mutual });
  let identity: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  let ca: Buffer | undefined;
  const apply = () => {
    if (identity !== undefined && (!mutual || ca !== undefined)) {
      server.setSecureContext({ ...identity, ...(ca === undefined ? {} : { ca }) });
    }
  };
  const onIdentity: Parameters<ReloadingCertificates["addIdentityCertificateListener"]>[0] = (update) => {
    if (update !== null) identity = { cert: update.certificate, key: update.privateKey };
    apply();
  };
  const onCa: Parameters<ReloadingCertificates["addCaCertificateListener"]>[0] = (update) => {
    if (update !== null) ca = update.caCertificate;
    apply();
  };
  certificates.addIdentityCertificateListener(onIdentity);
  if (mutual) certificates.addCaCertificateListener(onCa);
  return {
    server,
    stopWatching: () => {
      certificates.removeIdentityCertificateListener(onIdentity);
      certificates.removeCaCertificateListener(onCa);
    },
  };
};

const listening = (server: Server, { host, port }: RestServerOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "another process listens on this port" : error.message;
      reject(new CannotListenError(`Cannot listen on ${host}:${port} for REST: ${why}.`, error));
    };
    server.once("error", onError);
    server.listen(port, host, () => {
      server.removeListener("error", onError);
      resolve();
    });
  });
