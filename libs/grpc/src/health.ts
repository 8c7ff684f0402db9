import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { MillraceError, Reason } from "@millrace/errors";
import { implement, type ServiceImplementation } from "./service-implementation.ts";

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

/** Thrown by Check for a service that this process does not have. */
export class HealthServiceUnknownError extends MillraceError {
  constructor(service: string, known: readonly string[]) {
    super("NOT_FOUND", Reason.FIELD_INVALID, `This process has no service ${service}.`, {
      violations: [{ field: "service", expected: `empty or one of ${known.join(", ")}`, got: service }],
      resource: { kind: "service", name: service },
    });
  }
}

/** Which services of the process serve, by full name; the empty name is the process itself. */
export class HealthStatuses {
  readonly #serving = new Map<string, boolean>();
  readonly #watchers = new Set<() => void>();

  /** Sets the status of one service and tells those who watch. */
  set(service: string, serving: boolean): void {
    if (this.#serving.get(service) === serving) {
      return;
    }
    this.#serving.set(service, serving);
    this.#tell();
  }

  /** Sets every known service. */
  setAll(serving: boolean): void {
    for (const service of this.#serving.keys()) {
      this.#serving.set(service, serving);
    }
    this.#tell();
  }

  /** Undefined for a service that is not known. */
  get(service: string): boolean | undefined {
    return this.#serving.get(service);
  }

  get services(): string[] {
    return [...this.#serving.keys()];
  }

  /** Calls `listener` after each change until the returned function is called. */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  #tell(): void {
    for (const watcher of this.#watchers) {
      watcher();
    }
  }
}

/** The standard service grpc.health.v1.Health over the statuses. */
export const healthService = (statuses: HealthStatuses): ServiceImplementation =>
  implement(Health, {
    check: async ({ service }) => {
      const serving = statuses.get(service);
      if (serving === undefined) {
        throw new HealthServiceUnknownError(service, statuses.services.filter(Boolean));
      }
      return { status: serving ? SERVING : NOT_SERVING };
    },
    list: async () => ({
      statuses: Object.fromEntries(
        statuses.services.map((service) => [service, { status: statuses.get(service) ? SERVING : NOT_SERVING }]),
      ),
    }),
    watch: async function* ({ service }, call) {
      let changed: (() => void) | undefined;
      const wake = () => changed?.();
      const unwatch = statuses.watch(wake);
      call.signal.addEventListener("abort", wake, { once: true });
      call.draining.addEventListener("abort", wake, { once: true });
      try {
        let sent: number | undefined;
        while (!call.signal.aborted) {
          const serving = statuses.get(service);
          const status = serving === undefined ? SERVICE_UNKNOWN : serving ? SERVING : NOT_SERVING;
          if (status !== sent) {
            sent = status;
            yield { status };
            continue;
          }
          if (call.draining.aborted) {
            return;
          }
          await new Promise<void>((resolve) => {
            changed = resolve;
          });
        }
      } finally {
        unwatch();
        call.signal.removeEventListener("abort", wake);
        call.draining.removeEventListener("abort", wake);
      }
    },
  });
