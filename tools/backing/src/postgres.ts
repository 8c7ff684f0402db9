import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BackingOptions, BackingServer } from "./backing-server.ts";
import { freePort } from "./free-port.ts";
import { ServerProcess } from "./server-process.ts";

/** Where Debian keeps the programs of its newest PostgreSQL; on other systems they are on the path. */
export const postgresPrograms = (): string => {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(a) - Number(b)) : [];
  const newest = versions.at(-1);
  return newest === undefined ? "" : join(debian, newest, "bin");
};

/** PostgreSQL refuses to run as root: then it runs as the user that its package has made. */
const asPostgres: readonly string[] =
  process.getuid?.() === 0 ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : [];

/** Starts a PostgreSQL whose superuser `millrace` needs no password on loopback. */
export const startPostgres = async (options: BackingOptions = {}): Promise<BackingServer> => {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "millrace-postgres-"));
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  const port = options.port ?? (await freePort());
  const data = join(folder, "data");
  const run = (program: string, args: readonly string[]): void => {
    const [file = "", ...rest] = [...asPostgres, join(postgresPrograms(), program), ...args];
    execFileSync(file, rest, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  };
  if (!existsSync(data)) {
    mkdirSync(data);
    if (asPostgres.length > 0) execFileSync("chown", ["postgres", data]);
    run("initdb", ["-D", data, "-U", "millrace", "--auth=trust", "--no-locale", "-E", "UTF8", "--no-sync"]);
  }
  const [command = "", ...prefix] = [...asPostgres, join(postgresPrograms(), "postgres")];
  const server = new ServerProcess({
    name: "PostgreSQL",
    command,
    args: [
      ...prefix,
      ...["-D", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
      ...["-c", "fsync=off"],
    ],
    logFile: join(folder, "postgres.log"),
    isReady: () => takesConnections(port),
    startTimeoutMs: 20_000,
    // A smart shutdown, which SIGTERM is, waits for every client.
    stopSignal: "SIGINT",
  });
  await server.start();
  return {
    url: `postgres://millrace@127.0.0.1:${port}/postgres`,
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

/** A server that is starting up answers an SSL request, and then refuses: only its answer to a start-up tells. */
const takesConnections = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const words = Buffer.from("user\0millrace\0database\0postgres\0\0");
    const startUp = Buffer.alloc(8 + words.length);
    startUp.writeInt32BE(startUp.length, 0);
    startUp.writeInt32BE(196_608, 4);
    words.copy(startUp, 8);
    const socket = createConnection(port, "127.0.0.1", () => socket.write(startUp));
    socket.setTimeout(1000, () => socket.destroy());
    socket.once("data", (data) => {
      // `R`: authentication; an error would be `E`.
      resolve(data.toString("latin1", 0, 1) === "R");
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
