import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The real registry of Debian's package `docker-registry`, on a free loopback port and a fresh folder. */
export interface DockerRegistry {
  readonly host: string;
  readonly folder: string;
  /** Changes one byte of a stored blob, behind the registry's back. */
  damage(digest: string): Promise<void>;
  stop(): Promise<void>;
}

export const hasProgram = (program: string, argument: string): boolean => {
  try {
    execFileSync(program, [argument], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

/** Absent servers fail a test in CI and skip it elsewhere. */
export const skipWithoutRegistry = !hasProgram("docker-registry", "--version") && process.env.CI !== "true";

/** @param settings lines of the registry's YAML configuration, such as an `auth:` section. */
export const startDockerRegistry = async (settings: readonly string[] = []): Promise<DockerRegistry> => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-registry-"));
  const host = `127.0.0.1:${await freePort()}`;
  const configuration = [
    "version: 0.1",
    "log: {level: error, accesslog: {disabled: true}}",
    `storage: {filesystem: {rootdirectory: ${JSON.stringify(join(folder, "storage"))}}}`,
    `http: {addr: "${host}"}`,
    ...settings,
  ];
  const path = join(folder, "config.yml");
  await writeFile(path, configuration.join("\n"));
  const registry = spawn("docker-registry", ["serve", path], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  registry.stderr.on("data", (text: Buffer) => {
    log += text.toString();
  });
  await ready(host, registry, () => log);
  return {
    host,
    folder,
    damage: async (digest) => {
      const hex = digest.slice("sha256:".length);
      const blob = join(folder, "storage/docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
      const bytes = await readFile(blob);
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      await writeFile(blob, bytes);
    },
    stop: async () => {
      if (registry.exitCode === null) {
        const ended = new Promise((resolve) => registry.once("exit", resolve));
        registry.kill();
        await ended;
      }
      await rm(folder, { recursive: true });
    },
  };
};

const ready = async (host: string, registry: ChildProcess, log: () => string): Promise<void> => {
  let failure: Error | undefined;
  registry.once("error", (error) => {
    failure = error;
  });
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (failure !== undefined || registry.exitCode !== null) {
      throw new Error(`docker-registry does not start (Debian: apt-get install docker-registry): ${log()}`, {
        cause: failure,
      });
    }
    const answer = await fetch(`http://${host}/v2/`).catch(() => undefined);
    if (answer !== undefined) {
      await answer.body?.cancel();
      return;
    }
    await sleep(50);
  }
  throw new Error(`docker-registry did not answer on ${host} within 10 s: ${log()}`);
};

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
