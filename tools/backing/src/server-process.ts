import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export interface ServerCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logFile: string;
  /** Asked again and again until it answers true. A rejection counts as not yet. */
  readonly isReady: () => Promise<boolean>;
  readonly startTimeoutMs: number;
  /** What asks it to stop. Default SIGTERM. */
  readonly stopSignal?: "SIGTERM" | "SIGINT";
}

/** A real server as a child process: it can stop, crash and come back on its port and its data. */
export class ServerProcess {
  readonly #command: ServerCommand;
  #child: ChildProcess | undefined;

  constructor(command: ServerCommand) {
    this.#command = command;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const { name, command, args, logFile, isReady, startTimeoutMs } = this.#command;
    const log = openSync(logFile, "a");
    const [file, ...prefix] = [...diesWithParent, command];
    const child = spawn(file ?? command, [...prefix, ...args], { stdio: ["ignore", log, log], detached: true });
    closeSync(log);
    const failed = once(child, "error").then(([error]) => Promise.reject(error as Error));
    // Waited for below; without a handler an error that comes later would end the process.
    failed.catch(() => undefined);
    this.#child = child;
    stopWithProcess(child);
    const deadline = Date.now() + startTimeoutMs;
    while (Date.now() < deadline) {
      if (child.exitCode !== null || child.signalCode !== null) break;
      const ready = await Promise.race([isReady().catch(() => false), failed]);
      if (ready) return;
      await sleep(50);
    }
    await this.kill();
    throw new Error(`${name} did not start: ${readFileSync(logFile, "utf8").trim().split("\n").slice(-5).join(" | ")}`);
  }

  /** Asks the server to stop and waits for it. */
  async stop(): Promise<void> {
    await this.#end(this.#command.stopSignal ?? "SIGTERM");
  }

  /** Ends the server at once, as a crash would. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async #end(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }
}

/**
 * On Linux the kernel ends a server whose starter was killed and had no time to do it. The command replaces itself, so the
 * process id is the server's.
 */
const diesWithParent: readonly string[] = existsSync("/usr/bin/setpriv")
  ? ["/usr/bin/setpriv", "--pdeathsig", "KILL"]
  : [];

const children = new Set<ChildProcess>();

/** Servers are not left behind when the process that started them ends without stopping them. */
const stopWithProcess = (child: ChildProcess): void => {
  if (children.size === 0) {
    process.once("exit", () => {
      for (const each of children) each.kill("SIGKILL");
    });
  }
  children.add(child);
  child.once("exit", () => children.delete(child));
};
