import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BackingOptions, BackingServer } from "./backing-server.ts";
import { freePort } from "./free-port.ts";
import { ServerProcess } from "./server-process.ts";

export interface RedisOptions extends BackingOptions {
  /** Keeps data over a crash: fsync every second, or with every write. Default `everysec`. */
  readonly appendfsync?: "always" | "everysec";
  readonly args?: readonly string[];
}

/** Starts a Redis with an append-only file. */
export const startRedis = async (options: RedisOptions = {}): Promise<BackingServer> => {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "millrace-redis-"));
  mkdirSync(folder, { recursive: true });
  const port = options.port ?? (await freePort());
  const server = new ServerProcess({
    name: "Redis",
    command: "redis-server",
    args: [
      ...["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""],
      ...["--appendonly", "yes", "--appendfsync", options.appendfsync ?? "everysec"],
      ...(options.args ?? []),
    ],
    logFile: join(folder, "redis.log"),
    isReady: () => answersPing(port),
    startTimeoutMs: 10_000,
  });
  await server.start();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    start: () => server.start(),
    kill: () => server.kill(),
    stop: () => server.stop(),
    remove: async () => {
      await server.stop();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
};

const answersPing = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.setTimeout(1000, () => socket.destroy());
    socket.once("data", (data) => {
      // A server that asks for a password is up, too.
      resolve(/^(\+PONG|-NOAUTH)/.test(data.toString()));
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
