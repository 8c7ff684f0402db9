import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { LineSplitter } from "./line-splitter.ts";
import { endRememberedGroup, rememberGroup, signalGroup } from "./process-group.ts";
import { TrainerFailedError } from "./trainer-failed-error.ts";

export interface Program {
  readonly argv: readonly string[];
  /** All variables that it gets. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where it starts. */
  readonly folder: string;
  readonly timeoutMs: number;
  /** What it prints, both streams as they come; written anew. */
  readonly logFile: string;
  /** Remembers the program while it runs. */
  readonly groupFile: string;
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

const mostLogBytes = 64 * 1024 * 1024;
/** Between asking a program to stop and ending it. Shorter than what the service gives the run's process. */
const graceMs = 2000;

/**
 * Runs a program in a process group of its own until it ends with exit code 0.
 * @throws TrainerFailedError where it cannot be started, ends otherwise, or takes too long; the signal's reason.
 */
export const runProgram = async (program: Program): Promise<void> => {
  const { argv, environment, folder, timeoutMs, logFile, groupFile, onLine, signal } = program;
  signal.throwIfAborted();
  await endRememberedGroup(groupFile);
  const [command = "", ...words] = argv;
  const child = spawn(command, words, {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const exit = new Promise<string>((resolve, reject) => {
    child.once("error", (cause) => {
      const why = (cause as NodeJS.ErrnoException).code ?? cause.message;
      reject(
        new TrainerFailedError("trainer.command.argv", `The program ${command} cannot be started: ${why}.`, cause),
      );
    });
    child.once("exit", (code, by) => resolve(by === null ? `exit code ${code}` : by));
  });
  // Waited for below, whatever comes between.
  exit.catch(() => undefined);
  const { pid } = child;
  const end = (how: NodeJS.Signals): void => {
    if (pid !== undefined) signalGroup(pid, how);
  };
  // The run's process may end without a word to it: then the program goes, too.
  const endAtOnce = (): void => end("SIGKILL");
  process.once("exit", endAtOnce);
  let grace: NodeJS.Timeout | undefined;
  let letGo: NodeJS.Timeout | undefined;
  const stop = (): void => {
    end("SIGTERM");
    grace = setTimeout(endAtOnce, graceMs);
  };
  let isLate = false;
  const timeout = setTimeout(() => {
    isLate = true;
    stop();
  }, timeoutMs);
  signal.addEventListener("abort", stop, { once: true });
  const last: string[] = [];
  const log = writeLog(logFile, child.stdout, child.stderr, (line) => {
    last.push(line);
    if (last.length > 5) last.shift();
    onLine(line);
  });
  log.catch(() => undefined);
  try {
    if (pid !== undefined) await rememberGroup(groupFile, pid);
    const how = await exit;
    // Those that it has left behind would hold its output open; some may have left its group, too.
    endAtOnce();
    letGo = setTimeout(() => {
      child.stdout.destroy();
      child.stderr.destroy();
    }, graceMs);
    await log;
    signal.throwIfAborted();
    const lines = last.length === 0 ? "It printed nothing." : `Its last lines: ${last.join(" | ").slice(-1000)}`;
    if (isLate) {
      const why = `The trainer did not end within ${timeoutMs / 1000} s and was stopped. ${lines}`;
      throw new TrainerFailedError("trainer.command.timeout", why);
    }
    if (how !== "exit code 0") {
      throw new TrainerFailedError("trainer.command", `The trainer ended with ${how}. ${lines}`);
    }
  } finally {
    clearTimeout(timeout);
    clearTimeout(grace);
    clearTimeout(letGo);
    signal.removeEventListener("abort", stop);
    process.removeListener("exit", endAtOnce);
    await endRememberedGroup(groupFile);
  }
};

/**
 * Writes both streams into one file, up to its greatest size, and tells their lines.
 * @throws TrainerFailedError where the file cannot be written, as on a full disk.
 */
const writeLog = async (
  file: string,
  stdout: NodeJS.ReadableStream,
  stderr: NodeJS.ReadableStream,
  onLine: (line: string) => void,
): Promise<void> => {
  const log = createWriteStream(file);
  let bytes = 0;
  const read = async (stream: NodeJS.ReadableStream): Promise<void> => {
    const lines = new LineSplitter(onLine);
    for await (const chunk of chunksOf(stream)) {
      lines.write(chunk);
      const isTheLast = bytes < mostLogBytes && bytes + chunk.length >= mostLogBytes;
      if (bytes < mostLogBytes && !log.write(chunk)) await once(log, "drain");
      bytes += chunk.length;
      if (isTheLast) log.write(`\n[The rest is left out: the log has reached ${mostLogBytes} bytes.]\n`);
    }
    lines.end();
  };
  // Waited for at the end; an error in the middle makes the writes below fail, too.
  const written = finished(log).catch((cause: NodeJS.ErrnoException) => {
    const why = `What the trainer printed could not be written: ${cause.code ?? cause.message}.`;
    throw new TrainerFailedError("trainer.command", why, cause);
  });
  await Promise.race([Promise.all([read(stdout), read(stderr)]), written]);
  log.end();
  await written;
};

/** What comes until the stream ends, or is let go of. */
async function* chunksOf(stream: NodeJS.ReadableStream): AsyncGenerator<Buffer> {
  try {
    yield* stream as AsyncIterable<Buffer>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_STREAM_PREMATURE_CLOSE") throw error;
  }
}
