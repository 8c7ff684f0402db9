import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";

/** Memory in bytes. */
export interface Memory {
  /** A page that two processes of the server share counts twice. */
  readonly resident: number;
  /** A page that processes share, whosever they are, is shared out between them. */
  readonly proportional: number;
}

/** A server that is measured: what it costs counts its children too, for some servers run models in processes of their own. */
export interface ServerProcess {
  /** Seconds of processor time that it has used. */
  cpuSeconds(): number;
  memory(): Memory;
  /** Ends it with SIGTERM, and with SIGKILL where it is still there after 20 s. */
  stop(): Promise<void>;
  /** The code or the signal that it ended with; undefined while it runs. */
  readonly ended: string | undefined;
  /** The next text on its standard output. */
  output(): Promise<string>;
}

export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly folder?: string;
  /** Where its standard error goes. Default: to this process's. */
  readonly errors?: "inherit" | "ignore";
}

// A process that a signal ends tells no "exit" listener, and the servers' groups do not get the terminal's Ctrl-C.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const running = new Set<ServerProcess>();

/** Processor time of this process and of the servers that it started and that run. */
export const ownCpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return [...running].reduce((sum, server) => sum + server.cpuSeconds(), (user + system) / 1e6);
};

/** Starts a server in a process group of its own. It is ended when this process ends, however that is but SIGKILL. */
export const startProcess = ({
  command,
  args,
  environment,
  folder,
  errors = "inherit",
}: ServerCommand): ServerProcess => {
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", errors],
    detached: true,
  });
  const { pid, stdout } = child;
  if (pid === undefined) throw new Error(`${command} cannot be started.`);
  const kill = (signal: NodeJS.Signals): void => {
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // ESRCH: nobody of the group is left.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  };
  const killAll = () => kill("SIGKILL");
  process.once("exit", killAll);
  stdout.resume();
  const exited = once(child, "exit");
  const server: ServerProcess = {
    cpuSeconds: () => processTree(pid).reduce((sum, one) => sum + cpuSecondsOf(one), 0),
    memory: () => {
      const sizes = processTree(pid).map(memoryOf);
      return {
        resident: sizes.reduce((sum, { resident }) => sum + resident, 0),
        proportional: sizes.reduce((sum, { proportional }) => sum + proportional, 0),
      };
    },
    get ended() {
      return child.exitCode?.toString() ?? child.signalCode ?? undefined;
    },
    output: async () => String((await once(stdout, "data"))[0]),
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        const limit = setTimeout(killAll, 20_000);
        await exited;
        clearTimeout(limit);
      }
      killAll();
      process.removeListener("exit", killAll);
      running.delete(server);
    },
  };
  running.add(server);
  return server;
};

/** A process and all that descend from it. */
const processTree = (root: number): readonly number[] => {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statFields(Number(name))?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
};

/** The fields of /proc/PID/stat from the third on: the name before them may hold spaces. Undefined for one that is gone. */
const statFields = (pid: number): readonly string[] | undefined =>
  read(`/proc/${pid}/stat`)?.split(") ").at(-1)?.split(" ");

const cpuSecondsOf = (pid: number): number => {
  // utime and stime, in ticks of 10 ms.
  const fields = statFields(pid);
  return (Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0)) / 100;
};

const memoryOf = (pid: number): Memory => {
  const text = read(`/proc/${pid}/smaps_rollup`) ?? "";
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
  return { resident: bytes("Rss"), proportional: bytes("Pss") };
};

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // A process may end between being listed and being read.
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
};
