import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { type Channel, createClient, openChannel } from "@millrace/grpc";
import type { ServiceName, ServicePlan } from "./services.ts";

/** A service did not come up: the one line that says why. */
export class ServiceStartError extends Error {
  constructor(service: string, why: string) {
    super(`${service} did not start: ${why}`);
    this.name = "ServiceStartError";
  }
}

export interface PlatformOptions {
  readonly plans: readonly ServicePlan[];
  readonly logFolder: string;
  /** Where the process ids of the services are written, by name. */
  readonly processFile: string;
  /** Told when a service stopped by itself and was started again. */
  readonly onRestart: (service: ServiceName, how: string) => void;
  /** Told when a service cannot be kept running: nothing further makes sense. */
  readonly onGiveUp: (error: Error) => void;
}

interface Running {
  readonly plan: ServicePlan;
  child: ChildProcess;
  channel: Channel;
  restarts: number;
}

/** Where Node keeps what it compiled of the sources, so that the next start need not. */
const compileCache = join(import.meta.dirname, "../../../.nx/compile-cache");
const startTimeoutMs = 60_000;
const stopTimeoutMs = 20_000;
/** A service that dies this often is not kept alive any longer. */
const mostRestarts = 5;

/**
 * The four services as processes of their own. A service that dies is started again; all of them stop with this process,
 * however it ends, because each watches its parent.
 */
export class Platform {
  readonly #options: PlatformOptions;
  readonly #running = new Map<ServiceName, Running>();
  #stopping = false;

  constructor(options: PlatformOptions) {
    this.#options = options;
  }

  /** Starts all services and waits until each says over gRPC that it serves. */
  async start(): Promise<void> {
    mkdirSync(this.#options.logFolder, { recursive: true });
    for (const plan of this.#options.plans) {
      for (const port of [plan.grpcPort, plan.metricsPort]) await refuseBusyPort(plan.name, port);
    }
    for (const plan of this.#options.plans) {
      const channel = openChannel(`127.0.0.1:${plan.grpcPort}`);
      this.#running.set(plan.name, { plan, child: this.#spawn(plan), channel, restarts: 0 });
    }
    await Promise.all([...this.#running.values()].map((service) => this.#untilServing(service)));
    for (const service of this.#running.values()) this.#watch(service);
    this.#writeProcessIds();
  }

  /** The open channel to a service; the platform closes it. */
  channel(name: ServiceName): Channel {
    const service = this.#running.get(name);
    if (service === undefined) throw new Error(`${name} is not running.`);
    return service.channel;
  }

  #writeProcessIds(): void {
    const ids = Object.fromEntries([...this.#running].map(([name, { child }]) => [name, child.pid]));
    writeFileSync(this.#options.processFile, JSON.stringify(ids));
  }

  /** Asks all services to stop and waits for them; what does not stop in time is killed, and that is said. */
  async stop(): Promise<string[]> {
    this.#stopping = true;
    const complaints = await Promise.all(
      [...this.#running.values()].map(async ({ plan, child, channel }) => {
        channel.close();
        if (child.exitCode !== null || child.signalCode !== null) return undefined;
        child.kill("SIGTERM");
        // A service that was still starting has no handler yet, and ends by the signal itself.
        const stopped = once(child, "exit").then(([code, signal]) =>
          code === 0 || signal === "SIGTERM" ? undefined : `${plan.name} ended with ${code ?? signal}`,
        );
        const timer = new AbortController();
        const late = sleep(stopTimeoutMs, "late" as const, { signal: timer.signal }).catch(() => undefined);
        const outcome = await Promise.race([stopped, late]);
        timer.abort();
        if (outcome !== "late") return outcome;
        child.kill("SIGKILL");
        await once(child, "exit");
        return `${plan.name} did not stop within ${stopTimeoutMs / 1000} s and was killed; see ${this.#logFile(plan)}`;
      }),
    );
    return complaints.filter((complaint) => complaint !== undefined);
  }

  #logFile(plan: ServicePlan): string {
    return join(this.#options.logFolder, `${plan.name}.log`);
  }

  #spawn(plan: ServicePlan): ChildProcess {
    const log = openSync(this.#logFile(plan), "a");
    try {
      return spawn(process.execPath, ["--conditions=@millrace/source", plan.main], {
        env: {
          ...foreignEnvironment(),
          NODE_COMPILE_CACHE: compileCache,
          ...plan.environment,
          MILLRACE_GRPC_PORT: String(plan.grpcPort),
          MILLRACE_METRICS_PORT: String(plan.metricsPort),
          MILLRACE_EXIT_WITH_PARENT: "true",
        },
        // A pipe as standard input: it closes when this process ends, which tells the service to stop.
        stdio: ["pipe", log, log],
        // Ctrl-C reaches the whole terminal group; the services are stopped by us, in order.
        detached: true,
      });
    } finally {
      closeSync(log);
    }
  }

  async #untilServing({ plan, child, channel }: Running): Promise<void> {
    const health = createClient(Health, channel);
    const deadline = Date.now() + startTimeoutMs;
    while (Date.now() < deadline) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new ServiceStartError(plan.name, this.#lastWords(plan));
      }
      const status = await health.check({ service: "" }, { timeoutMs: 1000 }).then(
        (answer) => answer.status,
        // Not listening yet: that is what is being waited for.
        () => undefined,
      );
      if (status === HealthCheckResponse_ServingStatus.SERVING) return;
      await sleep(50);
    }
    throw new ServiceStartError(plan.name, `it did not become healthy within ${startTimeoutMs / 1000} s`);
  }

  #watch(service: Running): void {
    service.child.once("exit", (code, signal) => {
      if (this.#stopping) return;
      const how = signal ?? `exit code ${code}`;
      service.restarts++;
      if (service.restarts > mostRestarts) {
        this.#options.onGiveUp(
          new ServiceStartError(service.plan.name, `it stopped ${service.restarts} times (${how})`),
        );
        return;
      }
      service.child = this.#spawn(service.plan);
      this.#writeProcessIds();
      this.#untilServing(service).then(
        () => {
          this.#options.onRestart(service.plan.name, how);
          this.#watch(service);
        },
        (error: unknown) => this.#options.onGiveUp(error instanceof Error ? error : new Error(String(error))),
      );
    });
  }

  /** Why a service ended, as far as its log says: its newest record of an error, or line that names one. */
  #lastWords(plan: ServicePlan): string {
    const lines = readFileSync(this.#logFile(plan), "utf8").trim().split("\n").slice(-40).reverse();
    const newest =
      lines.find((line) => /^\{"level":[56]0,|Error\b|^[a-z-]+: /.test(line)) ?? lines[0] ?? "it said nothing";
    const texts = [...newest.matchAll(/"(?:msg|message)":"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text);
    return texts.length > 0 ? texts.reverse().join(" ") : newest.trim();
  }
}

/** The environment without settings of millrace: a service takes those of its plan, and refuses those it does not know. */
const foreignEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MILLRACE_")));

const refuseBusyPort = async (service: string, port: number): Promise<void> => {
  const probe = createServer();
  try {
    probe.listen(port, "127.0.0.1");
    await once(probe, "listening");
  } catch (error) {
    throw new ServiceStartError(
      service,
      `port ${port} cannot be used (${(error as NodeJS.ErrnoException).code}). Another platform may be running; --port-offset N moves all ports.`,
    );
  } finally {
    probe.close();
  }
};
