import { type Channel, type ChannelOptions, openChannel } from "@millrace/grpc";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { CallTraces } from "./call-traces.ts";

/** What the host closes at the end. */
export interface Closeable {
  close(): void | Promise<void>;
}

/** Work beside the calls, until the signal is aborted. */
export interface Worker {
  run(signal: AbortSignal): Promise<void>;
}

/** What a service is given by its host. */
export interface ServiceHost {
  readonly log: Logger;
  readonly metrics: Registry;
  /** Hands a resource to the host, which closes all of them in reverse order at the stop. Answers the resource. */
  own<T extends Closeable>(resource: T): T;
  /** Runs a worker until the stop. One that rejects, or ends by itself, stops the service with exit code 1. */
  start(worker: Worker): void;
  /** Adds a condition of readiness: true, or a sentence that says why not. It is asked twice a second and must be cheap. */
  ready(name: string, check: () => boolean | string): void;
  readonly health: {
    /** Takes one gRPC service out of, or back into, those that serve. */
    set(serviceName: string, serving: boolean): void;
  };
  /** Runs at a stop, before workers are stopped and while calls are still answered. */
  onDrain(action: () => void | Promise<void>): void;
  /** Opens a channel to another service with this service's peer certificates and token, and owns it. */
  openChannel(address: string): Channel;
  /** Aborted when the stop begins. */
  readonly stopping: AbortSignal;
  /** Makes spans of requests that come by other ways than gRPC; undefined where no trace is sent. */
  readonly traces: CallTraces | undefined;
}

/** The state behind a ServiceHost; `runService` drives it. */
export class HostState implements ServiceHost {
  readonly log: Logger;
  readonly metrics: Registry;
  readonly #channelOptions: ChannelOptions;
  readonly #resources: Closeable[] = [];
  readonly #checks = new Map<string, () => boolean | string>();
  readonly #drainActions: (() => void | Promise<void>)[] = [];
  readonly #notServing = new Set<string>();
  readonly #workerStop = new AbortController();
  readonly #workers = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #onWorkerFailure: (error: unknown) => void;
  readonly health = {
    set: (serviceName: string, serving: boolean): void => {
      if (serving) {
        this.#notServing.delete(serviceName);
      } else {
        this.#notServing.add(serviceName);
      }
      this.onHealthChange?.();
    },
  };
  onHealthChange: (() => void) | undefined;
  traces: CallTraces | undefined;

  constructor(parts: {
    log: Logger;
    metrics: Registry;
    channelOptions: ChannelOptions;
    onWorkerFailure: (error: unknown) => void;
  }) {
    this.log = parts.log;
    this.metrics = parts.metrics;
    this.#channelOptions = parts.channelOptions;
    this.#onWorkerFailure = parts.onWorkerFailure;
  }

  own<T extends Closeable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  start(worker: Worker): void {
    const { signal } = this.#workerStop;
    const running = worker.run(signal).then(
      () => {
        if (!signal.aborted) {
          this.#onWorkerFailure(new Error("A worker ended although nothing stopped it."));
        }
      },
      (error: unknown) => {
        // What a worker's pending work throws because of the stop is no failure.
        if (!signal.aborted || !isAbort(error, signal)) {
          this.#onWorkerFailure(error);
        }
      },
    );
    this.#workers.add(running);
    running.finally(() => this.#workers.delete(running));
  }

  ready(name: string, check: () => boolean | string): void {
    this.#checks.set(name, check);
  }

  onDrain(action: () => void | Promise<void>): void {
    this.#drainActions.push(action);
  }

  openChannel(address: string): Channel {
    return this.own(openChannel(address, this.#channelOptions));
  }

  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** Why the service is not ready, one sentence each; empty when it is. */
  unreadyReasons(): string[] {
    if (this.#stop.signal.aborted) {
      return ["The service is stopping."];
    }
    const reasons: string[] = [];
    for (const [name, check] of this.#checks) {
      const outcome = check();
      if (outcome !== true) {
        reasons.push(`${name}: ${outcome === false ? "not ready" : outcome}`);
      }
    }
    return reasons;
  }

  serves(serviceName: string): boolean {
    return !this.#notServing.has(serviceName);
  }

  beginStop(): void {
    this.#stop.abort();
  }

  async runDrainActions(): Promise<void> {
    for (const action of this.#drainActions) {
      await action();
    }
  }

  /** Stops the workers. Answers false where some have not ended in time. */
  async stopWorkers(limitMs: number): Promise<boolean> {
    this.#workerStop.abort();
    return within(Promise.all(this.#workers), limitMs);
  }

  /** Closes what is owned, the last first. An error does not keep the others open; the first one is thrown at the end. */
  async closeOwned(): Promise<void> {
    const errors: unknown[] = [];
    for (const resource of this.#resources.splice(0).reverse()) {
      try {
        await resource.close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) {
      throw errors[0];
    }
  }
}

const isAbort = (error: unknown, signal: AbortSignal): boolean =>
  error === signal.reason ||
  (error instanceof Error && (error.name === "AbortError" || ("code" in error && error.code === "CANCELLED")));

/** Whether a promise settles in time. */
export const within = async (promise: Promise<unknown>, limitMs: number): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
};
