import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Run, TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import { type Client, createClient, openChannel } from "@millrace/grpc";
import { exampleSpec } from "./examples.fixture.ts";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
};

/** A training service as a process of its own, on the same state each time that it is started. */
export class TrainingProcess {
  readonly #folder: string;
  readonly #port: number;
  readonly #metricsPort: number;
  readonly #flags: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;
  output = "";

  private constructor(folder: string, port: number, metricsPort: number, flags: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#port = port;
    this.#metricsPort = metricsPort;
    this.#flags = flags;
  }

  /** @param folder has its state, its models and the files of specs. */
  static async create(folder: string, flags: Readonly<Record<string, string>> = {}): Promise<TrainingProcess> {
    return new TrainingProcess(folder, await freePort(), await freePort(), flags);
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  async start(): Promise<void> {
    const flags = {
      "grpc-port": this.#port,
      "metrics-port": this.#metricsPort,
      "state-url": `lmdb:${this.#folder}/state`,
      "work-folder": join(this.#folder, "runs"),
      "model-store-url": `oci:${this.#folder}/models`,
      "data-root": this.#folder,
      ...this.#flags,
    };
    const child = spawn(
      process.execPath,
      [
        "--conditions=@millrace/source",
        main,
        ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#process = child;
    const started = Promise.withResolvers<void>();
    const read = (chunk: Buffer): void => {
      this.output += chunk.toString();
      if (this.output.includes("training listens on")) started.resolve();
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("exit", (code) => started.reject(new Error(`The service ended with ${code}: ${this.output}`)));
    this.output = "";
    await started.promise;
  }

  /** @returns the exit code; null where a signal ended it. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null) return child?.exitCode ?? null;
    const exited = once(child, "exit");
    child.kill(signal);
    const [code] = await exited;
    return code as number | null;
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`)).text();
  }

  readonly withClient = async <T>(use: (client: Client<typeof TrainingService>) => Promise<T>): Promise<T> => {
    const channel = openChannel(`127.0.0.1:${this.#port}`);
    try {
      return await use(createClient(TrainingService, channel));
    } finally {
      channel.close();
    }
  };

  readonly startRun = (spec = exampleSpec(), idempotencyKey = ""): Promise<Run> =>
    this.withClient(async (client) => {
      const { run } = await client.startRun({ spec, idempotencyKey, requestedBy: "test", codeRevision: "abc" });
      if (run === undefined) throw new Error("No run was answered.");
      return run;
    });

  /** Watches a run until it is over, or until `enough` says so. */
  readonly watch = (id: string, enough: (run: Run) => boolean = () => false): Promise<Run> =>
    this.withClient(async (client) => {
      let last: Run | undefined;
      for await (const { run } of client.watchRun({ id })) {
        last = run;
        if (run !== undefined && enough(run)) break;
      }
      if (last === undefined) throw new Error("No run came.");
      return last;
    });
}
