import { z } from "zod";
import { type Config, setting } from "./setting.ts";

/** The ports that a service has unless told otherwise. 0 takes a free one. */
export interface DefaultPorts {
  readonly grpcPort?: number;
  readonly metricsPort?: number;
}

const port = z.coerce.number().int().min(0).max(65535);
const file = z.string().min(1).optional();

/** The settings that every service has. */
export const hostSettings = (ports: DefaultPorts) => ({
  grpcHost: setting(
    z.string().min(1).default("127.0.0.1"),
    "Address to listen on. Beyond loopback it needs TLS, a token file or allowPlaintext.",
  ),
  grpcPort: setting(port.default(ports.grpcPort ?? 0), "Port of gRPC; 0 takes a free one."),
  metricsHost: setting(
    z.string().min(1).optional(),
    "Address of the HTTP port for Prometheus and probes; grpcHost unless given.",
  ),
  metricsPort: setting(
    port.default(ports.metricsPort ?? 0),
    "HTTP port of /metrics, /healthz and /readyz; 0 takes a free one.",
  ),
  logLevel: setting(
    z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
    "Least level that is logged.",
  ),
  tlsCertificateFile: setting(file, "PEM file of the server's certificate chain; with it gRPC speaks TLS."),
  tlsPrivateKeyFile: setting(file, "PEM file of the certificate's key."),
  tlsClientCaFile: setting(file, "PEM file of the authority that must have signed each client's certificate (mTLS)."),
  tokenFile: setting(file, "File of bearer tokens, one `name token` a line; with it each call must carry one."),
  allowPlaintext: setting(
    z.stringbool().default(false),
    "Listens beyond loopback without TLS and tokens: for networks that are closed by other means.",
  ),
  peerCaFile: setting(file, "PEM file of the authority of the services that this one calls; with it calls use TLS."),
  peerCertificateFile: setting(file, "PEM file of the certificate that this service shows to those that it calls."),
  peerPrivateKeyFile: setting(file, "PEM file of that certificate's key."),
  peerTokenFile: setting(file, "File whose first token is sent to the services that this one calls."),
  reflection: setting(z.stringbool().default(true), "Answers gRPC reflection, for grpcurl and the like."),
  maxReceiveBytes: setting(
    z.coerce.number().int().min(1024).default(67_108_864),
    "Largest request in bytes, also after decompression.",
  ),
  maxConcurrentStreams: setting(
    z.coerce.number().int().min(1).default(1000),
    "Calls that may be open at once on one connection.",
  ),
  maxConnectionAgeMs: setting(
    z.coerce.number().int().min(1000).default(1_800_000),
    "Age at which a connection is closed softly, in ms, so that clients find new replicas.",
  ),
  drainDelayMs: setting(
    z.coerce.number().int().min(0).optional(),
    "Time between NOT_SERVING and refusing calls at a stop, in ms: load balancers need it. 0 on loopback, else 5000.",
  ),
  drainLimitMs: setting(
    z.coerce.number().int().min(0).default(20_000),
    "Longest time that workers and open calls have to end at a stop, in ms; then they are cut off. Closing has 5000 more.",
  ),
  exitWithParent: setting(
    z.stringbool().default(false),
    "Stops when the process that started this one is gone, so that a killed launcher leaves no orphan.",
  ),
  otlpEndpoint: setting(
    z.url({ protocol: /^https?$/ }).optional(),
    "OTLP gRPC endpoint for traces, such as http://127.0.0.1:4317; without it no trace is made.",
  ),
  traceSampleRatio: setting(
    z.coerce.number().min(0).max(1).default(0.1),
    "Share of traces begun here that is recorded; a caller's decision goes first.",
  ),
});

/** The values of the host's own settings. */
export type HostConfig = Config<ReturnType<typeof hostSettings>>;
