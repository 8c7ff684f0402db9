import { MillraceError } from "@millrace/errors";
import {
  type CallFailure,
  type CallObserver,
  type GrpcServer,
  isLoopback,
  type ServiceImplementation,
  startGrpcServer,
} from "@millrace/grpc";
import type { Logger } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import { callMetrics } from "./call-metrics.ts";
import type { CallTraces } from "./call-traces.ts";
import type { HostConfig } from "./host-settings.ts";
import { openLog } from "./log.ts";
import { type MetricsEndpoint, openMetricsEndpoint } from "./metrics-endpoint.ts";
import { watchParent } from "./parent-watch.ts";
import { peerSecurity, serverSecurity } from "./security-settings.ts";
import { HostState, type ServiceHost, within } from "./service-host.ts";

/** Time that flushing and closing have even when calls have used up the limit. */
const leastCloseMs = 5_000;

/** One service as a process: its start, its readiness, and its stop in the order that `runService` tells. */
export class ServiceProcess {
  readonly #name: string;
  readonly #config: HostConfig;
  readonly #log: Logger;
  readonly #host: HostState;
  readonly #metrics = new Registry();
  #traces: CallTraces | undefined;
  #server: GrpcServer | undefined;
  #endpoint: MetricsEndpoint | undefined;
  #services: readonly ServiceImplementation[] = [];
  #readiness: NodeJS.Timeout | undefined;
  #parent: { close(): void } | undefined;
  #stopping: Promise<void> | undefined;
  #exitCode = 0;
  #everReady = false;

  constructor(name: string, config: HostConfig) {
    this.#name = name;
    this.#config = config;
    this.#log = openLog(name, config.logLevel);
    collectDefaultMetrics({ register: this.#metrics });
    this.#host = new HostState({
      log: this.#log,
      metrics: this.#metrics,
      channelOptions: peerSecurity(config),
      onWorkerFailure: (error) => {
        this.#log.fatal({ err: error }, "A worker failed; the service stops.");
        this.#exitCode = 1;
        void this.stop();
      },
    });
  }

  async run(build: (host: ServiceHost) => Promise<readonly ServiceImplementation[]>): Promise<void> {
    this.#catchSignals();
    try {
      const { metricsHost, grpcHost, metricsPort } = this.#config;
      this.#endpoint = await openMetricsEndpoint(metricsHost ?? grpcHost, metricsPort, this.#metrics, () =>
        this.#server === undefined ? ["The service is starting."] : this.#host.unreadyReasons(),
      );
      this.#traces = await openTraces(this.#name, this.#config);
      this.#host.traces = this.#traces;
      this.#services = await build(this.#host);
      this.#server = await this.#listen();
    } catch (error) {
      await this.#giveUp(error);
      return;
    }
    if (this.#stopping !== undefined) {
      return;
    }
    this.#host.onHealthChange = () => this.#updateHealth();
    this.#readiness = setInterval(() => this.#updateHealth(), 500);
    this.#log.info(
      { grpcAddress: this.#server.address, metricsPort: this.#endpoint.port, pid: process.pid },
      `${this.#name} listens on ${this.#server.address}`,
    );
    this.#updateHealth();
  }

  #listen(): Promise<GrpcServer> {
    const config = this.#config;
    return startGrpcServer({
      services: this.#services,
      host: config.grpcHost,
      port: config.grpcPort,
      serving: false,
      reflection: config.reflection,
      maxReceiveBytes: config.maxReceiveBytes,
      maxConcurrentStreams: config.maxConcurrentStreams,
      maxConnectionAgeMs: config.maxConnectionAgeMs,
      observer: this.#observer(),
      sampleTrace: this.#traces?.sample,
      onFailure: (failure) => this.#logFailure(failure),
      ...serverSecurity(config),
    });
  }

  #observer(): CallObserver {
    const metrics = callMetrics(this.#metrics);
    const traces = this.#traces;
    if (traces === undefined) {
      return metrics;
    }
    return {
      started: metrics.started,
      handled: (method, call, code, seconds) => {
        metrics.handled(method, call, code, seconds);
        traces.handled(method, call, code, seconds);
      },
    };
  }

  #logFailure({ error, method, traceId, code }: CallFailure): void {
    const level = code === "INTERNAL" || code === "DATA_LOSS" ? "error" : "warn";
    this.#log[level]({ err: error, method, traceId, code }, "A call failed.");
  }

  /** The empty name says that the process lives: it stays SERVING from the first readiness to the stop. */
  #updateHealth(): void {
    const server = this.#server;
    if (server === undefined || this.#stopping !== undefined) {
      return;
    }
    const reasons = this.#host.unreadyReasons();
    const ready = reasons.length === 0;
    if (ready && !this.#everReady) {
      this.#everReady = true;
      server.health.set("", true);
      this.#log.info("ready");
    }
    for (const { service } of this.#services) {
      server.health.set(service.typeName, ready && this.#host.serves(service.typeName));
    }
  }

  #catchSignals(): void {
    const onSignal = (signal: NodeJS.Signals) => {
      if (this.#stopping === undefined) {
        this.#log.info({ signal }, "Stopping.");
        void this.stop();
        return;
      }
      this.#log.warn({ signal }, "Stopping at once: a second signal came.");
      this.#server?.close();
      process.exit(1);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    const onDefect = (error: unknown) => {
      this.#log.fatal({ err: error }, "A defect: an error that nobody handles.");
      process.exit(1);
    };
    process.on("uncaughtException", onDefect);
    process.on("unhandledRejection", onDefect);
    if (this.#config.exitWithParent) {
      this.#parent = watchParent(() => {
        this.#log.info("Stopping: the process that started this one is gone.");
        void this.stop();
      });
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { drainLimitMs, grpcHost } = this.#config;
    const drainDelayMs = this.#config.drainDelayMs ?? (isLoopback(grpcHost) ? 0 : 5000);
    clearInterval(this.#readiness);
    this.#host.beginStop();
    try {
      if (this.#server !== undefined) {
        this.#server.health.setAll(false);
        await new Promise((resolve) => setTimeout(resolve, drainDelayMs));
      }
      // One limit for all of it, so that whoever stops the process can tell how long it takes at most.
      const endsAt = performance.now() + drainLimitMs;
      const leftMs = () => Math.max(0, endsAt - performance.now());
      if (!(await within(this.#host.runDrainActions(), leftMs()))) {
        this.#log.warn("A drain action did not end in time.");
      }
      if (!(await this.#host.stopWorkers(leftMs()))) {
        this.#log.warn("A worker did not stop in time.");
      }
      if (this.#server !== undefined && !(await this.#server.drain({ limitMs: leftMs() }))) {
        this.#log.warn("Calls were cut off at the limit.");
      }
      if (!(await within(this.#host.closeOwned(), Math.max(leastCloseMs, leftMs())))) {
        this.#log.error("What the service owns did not close in time.");
        this.#exitCode = 1;
      }
      await this.#traces?.close();
      await this.#endpoint?.close();
    } catch (error) {
      this.#log.fatal({ err: error }, "The stop failed.");
      this.#exitCode = 1;
    }
    this.#parent?.close();
    this.#log.info({ exitCode: this.#exitCode }, "Stopped.");
    process.exit(this.#exitCode);
  }

  /** The start failed: what was opened is closed, one line says why. */
  async #giveUp(error: unknown): Promise<void> {
    refuseStart(this.#name, error);
    this.#exitCode = 1;
    await this.stop();
  }
}

/** One line on standard error, exit 1. A defect keeps its stack. */
export const refuseStart = (name: string, error: unknown): void => {
  const text = error instanceof MillraceError ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`${name}: ${text}\n`);
  process.exitCode = 1;
};

/** The OpenTelemetry packages take a third of a second to load: only a service that sends traces waits for them. */
const openTraces = async (name: string, config: HostConfig): Promise<CallTraces | undefined> => {
  const { otlpEndpoint, traceSampleRatio } = config;
  if (otlpEndpoint === undefined) {
    return undefined;
  }
  const { callTraces } = await import("./call-traces.ts");
  return callTraces(name, otlpEndpoint, traceSampleRatio);
};
