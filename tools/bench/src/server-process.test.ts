import { existsSync, readFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { type ServerProcess, startProcess } from "./server-process.ts";

let server: ServerProcess | undefined;
afterEach(() => server?.stop());

/** A process with a child that holds 50 MB; it says the child's id. */
const parent = `
const { spawn } = require("node:child_process");
const child = spawn(process.execPath, ["-e", "const held = Buffer.alloc(50e6, 1); console.log(String(process.pid)); setInterval(() => held, 1e6)"], { stdio: ["ignore", "inherit", "inherit"] });
setInterval(() => child, 1e6);
`;

/** Whether a process runs. One that ended may be listed as a zombie until somebody asks for its exit code. */
const isRunning = (pid: number): boolean => {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !readFileSync(path, "utf8").includes(") Z ");
};

test.skipIf(process.platform !== "linux")(
  "memory and processor time count the processes that a server starts",
  async () => {
    server = startProcess({ command: process.execPath, args: ["-e", parent], environment: { NODE_OPTIONS: "" } });
    await server.output();
    const { resident, proportional } = server.memory();
    // Two processes of Node, one of which holds 50 MB more.
    expect(resident).toBeGreaterThan(100e6);
    expect(proportional).toBeGreaterThan(50e6);
    expect(proportional).toBeLessThanOrEqual(resident);
    expect(server.cpuSeconds()).toBeGreaterThan(0);
  },
);

test.skipIf(process.platform !== "linux")("a stop leaves nobody of a server behind", async () => {
  server = startProcess({ command: process.execPath, args: ["-e", parent], environment: { NODE_OPTIONS: "" } });
  const child = Number(await server.output());
  expect(isRunning(child)).toBe(true);
  await server.stop();
  await expect.poll(() => isRunning(child)).toBe(false);
  expect(server.ended).toBe("SIGTERM");
});
