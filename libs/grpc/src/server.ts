import { logVerbosity, Server, type ServerCredentials, setLogVerbosity } from "@grpc/grpc-js";
import { type AtStream, answerAtStreams } from "./answer-at-streams.ts";
import type { BearerTokens } from "./bearer-tokens.ts";
import { CannotListenError, UnauthenticatedError } from "./call-errors.ts";
import type { CallFailure, CallObserver } from "./call-observer.ts";
import { HealthStatuses, healthService } from "./health.ts";
import { reflectionServices } from "./reflection.ts";
import { registerService } from "./register-service.ts";
import { defaultResetLimits, type ResetLimits, raiseResetLimits } from "./reset-limits.ts";
import type { OpenStream, ServerEnvironment, SurfaceCall } from "./server-call.ts";
import type { ServiceImplementation } from "./service-implementation.ts";
import { type ServerTls, serverCredentials } from "./transport-credentials.ts";

export interface GrpcServerOptions {
  readonly services: readonly ServiceImplementation[];
  /** Address to listen on; 127.0.0.1 unless given. */
  readonly host?: string;
  /** 0, the default, takes a free port. */
  readonly port?: number;
  readonly tls?: ServerTls;
  /** With tokens, each call but grpc.health.v1 must carry one. */
  readonly tokens?: BearerTokens;
  /** Listens beyond loopback although there is neither TLS nor a token: for a network that is closed by other means. */
  readonly allowPlaintext?: boolean;
  /** Answers grpc.reflection, v1 and v1alpha. On unless false. */
  readonly reflection?: boolean;
  /** Health of all services from the start. True unless given. */
  readonly serving?: boolean;
  readonly observer?: CallObserver;
  /** Decides whether a trace that begins here is recorded; a caller's own decision goes first. None is, unless given. */
  readonly sampleTrace?: ((traceId: string) => boolean) | undefined;
  readonly onFailure?: (failure: CallFailure) => void;
  /** Largest request in bytes, also after decompression; 64 MiB unless given. */
  readonly maxReceiveBytes?: number;
  /** Calls open at once on one connection; 1,000 unless given. */
  readonly maxConcurrentStreams?: number;
  /** Age at which a connection is closed softly, so that clients find new replicas; 30 minutes unless given. */
  readonly maxConnectionAgeMs?: number;
  /** Time that open calls have after that; 30 seconds unless given. */
  readonly maxConnectionAgeGraceMs?: number;
  readonly keepaliveTimeMs?: number;
  readonly keepaliveTimeoutMs?: number;
  /** Bytes that a peer may send ahead of being read, for one stream; 1 MiB unless given. */
  readonly flowControlWindowBytes?: number;
  readonly resetLimits?: ResetLimits;
}

export interface DrainOptions {
  /** Time for all open calls to end, in ms. Those that have not are cut off. */
  readonly limitMs: number;
  /** Time that an open stream has for its current answer, in ms; then its signal is aborted. 1,000 unless given. */
  readonly streamGraceMs?: number;
}

/** A server that listens. */
export interface GrpcServer {
  /** Where clients reach it, such as `127.0.0.1:8101`. */
  readonly address: string;
  readonly port: number;
  readonly health: HealthStatuses;
  /**
   * Stops softly: takes no new calls, lets unary calls end, ends streams after their current answers with UNAVAILABLE
   * (reason STOPPING), and cuts off what is left at the limit. Answers whether all calls ended by themselves.
   */
  drain(options: DrainOptions): Promise<boolean>;
  /** Cuts off every call and closes. */
  close(): void;
}

// grpc-js prints to the console by itself; what matters of it reaches callers as errors.
if (process.env.GRPC_VERBOSITY === undefined) {
  setLogVerbosity(logVerbosity.NONE);
}

/**
 * Serves the implementations on one port, with health and reflection beside them.
 * @throws CannotListenError where the port is taken, the TLS files do not fit, or the address is beyond loopback without
 * TLS and without tokens.
 */
export const startGrpcServer = async (options: GrpcServerOptions): Promise<GrpcServer> => {
  const host = options.host ?? "127.0.0.1";
  refuseOpenNetwork(host, options);
  const draining = new AbortController();
  const streams = new Set<OpenStream>();
  const environment: ServerEnvironment = {
    observer: options.observer,
    onFailure: options.onFailure,
    sampleTrace: options.sampleTrace,
    draining: draining.signal,
    streams,
    authenticate: authentication(options),
  };
  const server = new Server(channelOptions(options));
  raiseResetLimits(server, options.resetLimits ?? defaultResetLimits);
  const health = new HealthStatuses();
  for (const { service } of options.services) {
    health.set(service.typeName, options.serving ?? true);
  }
  health.set("", options.serving ?? true);
  const standard = [healthService(health)];
  if (options.reflection !== false) {
    const described = [...options.services, ...standard].map(({ service }) => service);
    standard.push(...reflectionServices(described));
  }
  const atStreams = new Map<string, AtStream>();
  for (const implementation of [...options.services, ...standard]) {
    registerService(server, implementation, environment, atStreams, maxReceiveBytes(options));
  }
  answerAtStreams(server, atStreams);
  const port = await bind(server, host, options.port ?? 0, serverCredentials(options.tls));
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return {
    address,
    port,
    health,
    drain: ({ limitMs, streamGraceMs = 1000 }) => drain(server, address, streams, draining, limitMs, streamGraceMs),
    close: () => {
      draining.abort();
      cutOffAfter(server, address, 0);
      server.forceShutdown();
    },
  };
};

/**
 * With channelz off, `forceShutdown` of grpc-js 1.14 leaves open connections alone (it knows only those that channelz
 * counts); `drain` closes them softly at once, and cuts them off after its time.
 */
const cutOffAfter = (server: Server, address: string, limitMs: number): void => server.drain(address, limitMs);

const drain = (
  server: Server,
  address: string,
  streams: ReadonlySet<OpenStream>,
  draining: AbortController,
  limitMs: number,
  streamGraceMs: number,
): Promise<boolean> =>
  new Promise((resolve) => {
    let late = false;
    const grace = setTimeout(() => {
      for (const stream of [...streams]) {
        stream.stop();
      }
    }, streamGraceMs);
    const limit = setTimeout(() => {
      late = true;
    }, limitMs);
    cutOffAfter(server, address, limitMs);
    // It calls back when the last connection is closed, and by itself never while a stream is open.
    server.tryShutdown(() => {
      clearTimeout(grace);
      clearTimeout(limit);
      resolve(!late);
    });
    draining.abort();
    for (const stream of [...streams]) {
      stream.finishSoon();
    }
  });

const bind = (server: Server, host: string, port: number, credentials: ServerCredentials): Promise<number> =>
  new Promise((resolve, reject) => {
    const target = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    server.bindAsync(target, credentials, (error, bound) => {
      if (error === null) {
        resolve(bound);
        return;
      }
      server.forceShutdown();
      const busy = error.message.includes("EADDRINUSE");
      const why = busy ? "another process listens on this port" : error.message;
      reject(new CannotListenError(`Cannot listen on ${target}: ${why}.`, error));
    });
  });

const refuseOpenNetwork = (host: string, options: GrpcServerOptions): void => {
  if (isLoopback(host) || options.tls !== undefined || options.tokens !== undefined || options.allowPlaintext) {
    return;
  }
  throw new CannotListenError(
    `Refusing to listen on ${host}: an address beyond loopback needs TLS files or a token file.`,
  );
};

/** Whether an address is reachable from this machine alone. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);

const authentication = ({ tokens, tls }: GrpcServerOptions): ServerEnvironment["authenticate"] => {
  if (tokens === undefined) {
    return tls?.clientCaFile === undefined ? () => undefined : (_method, call) => commonName(call);
  }
  return (method, call) => {
    // A probe has no token to send, and learns nothing but up or down.
    if (method.service === "grpc.health.v1.Health") {
      return undefined;
    }
    const header = call.metadata.get("authorization")[0];
    if (typeof header !== "string") {
      throw new UnauthenticatedError("This server needs a bearer token in the header `authorization`; none came.");
    }
    const principal = tokens.principalOf(header);
    if (principal === undefined) {
      throw new UnauthenticatedError("The bearer token in the header `authorization` is not valid here.");
    }
    return principal;
  };
};

const commonName = (call: SurfaceCall): string | undefined => {
  const { sslPeerCertificate } = call.getAuthContext();
  const name: unknown = sslPeerCertificate?.subject?.CN;
  return typeof name === "string" ? name : undefined;
};

const maxReceiveBytes = (options: GrpcServerOptions): number => options.maxReceiveBytes ?? 64 * 1024 * 1024;

const channelOptions = (options: GrpcServerOptions) => ({
  "grpc.max_receive_message_length": maxReceiveBytes(options),
  "grpc.max_send_message_length": -1,
  "grpc.max_concurrent_streams": options.maxConcurrentStreams ?? 1000,
  "grpc.max_connection_age_ms": options.maxConnectionAgeMs ?? 30 * 60 * 1000,
  "grpc.max_connection_age_grace_ms": options.maxConnectionAgeGraceMs ?? 30 * 1000,
  "grpc.keepalive_time_ms": options.keepaliveTimeMs ?? 30 * 1000,
  "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs ?? 10 * 1000,
  "grpc-node.flow_control_window": options.flowControlWindowBytes ?? 1024 * 1024,
  "grpc.enable_channelz": 0,
});
