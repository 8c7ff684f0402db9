import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { createClient, openChannel } from "@millrace/grpc";
import { onTestFinished } from "vitest";

const fixture = fileURLToPath(new URL("./fixtures/echo-service.ts", import.meta.url));
const conditions = "--conditions=@millrace/source";

/** One line of a service's log. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [key: string]: unknown;
}

/** A service of its own process. It is killed when the test ends, if it still runs. */
export class ServiceProcess {
  readonly child: ChildProcess;
  readonly log: LogLine[] = [];
  stderr = "";
  stdout = "";
  readonly #exited: Promise<number | null>;
  readonly #waiting: { message: string; found: (line: LogLine) => void; ended: (error: Error) => void }[] = [];

  constructor(flags: readonly string[], environment: Record<string, string> = {}) {
    const { PATH = "", NODE_COMPILE_CACHE } = process.env;
    const env = { PATH, NODE_COMPILE_CACHE, ...environment };
    this.child = spawn(process.execPath, [conditions, fixture, ...flags], { env, stdio: ["pipe", "pipe", "pipe"] });
    let rest = "";
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        this.#take(line);
      }
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.#exited = new Promise((resolve) => {
      this.child.on("close", (code) => {
        resolve(code);
        for (const { message, ended } of this.#waiting.splice(0)) {
          ended(new Error(`The service ended without logging "${message}": ${this.stdout}${this.stderr}`));
        }
      });
    });
    onTestFinished(() => {
      this.child.kill("SIGKILL");
    });
  }

  /** The first line, past or to come, whose message begins so. */
  logged(message: string): Promise<LogLine> {
    const past = this.log.find(({ msg }) => msg.startsWith(message));
    if (past !== undefined) {
      return Promise.resolve(past);
    }
    return new Promise((found, ended) => {
      this.#waiting.push({ message, found, ended });
    });
  }

  /** gRPC address and metrics URL, once it listens. */
  async listens(): Promise<{ address: string; http: string }> {
    const { grpcAddress, metricsPort } = await this.logged("echo listens on");
    return { address: String(grpcAddress), http: `http://127.0.0.1:${metricsPort}` };
  }

  /** The exit code, once it has ended and its output is complete. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  #take(text: string): void {
    if (!text.startsWith("{")) {
      return;
    }
    const line: LogLine = JSON.parse(text);
    this.log.push(line);
    for (const waiting of [...this.#waiting]) {
      if (line.msg.startsWith(waiting.message)) {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        waiting.found(line);
      }
    }
  }
}

/** Clients of the fixture, closed when the test ends. */
export const connect = (address: string) => {
  const channel = openChannel(address, { ownConnection: true });
  onTestFinished(() => channel.close());
  return { inference: createClient(GRPCInferenceService, channel), health: createClient(Health, channel) };
};

/** The health of one service, or of the process. */
export const statusOf = async (health: ReturnType<typeof connect>["health"], service: string): Promise<number> =>
  (await health.check({ service })).status;

export const serving = HealthCheckResponse_ServingStatus.SERVING;
export const notServing = HealthCheckResponse_ServingStatus.NOT_SERVING;
