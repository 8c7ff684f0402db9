import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { connect, notServing, ServiceProcess, serving, statusOf } from "./service-process.ts";

vi.setConfig({ testTimeout: 30_000 });

describe("a service that is told to stop", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`by ${signal} answers what is open, ends streams, closes in reverse order, exit 0`, async () => {
      const service = new ServiceProcess(["--worker", "waits"]);
      const { address } = await service.listens();
      await service.logged("ready");
      const { inference, health } = connect(address);
      const watch = health.watch({ service: "" })[Symbol.asyncIterator]();
      expect((await watch.next()).value?.status).toBe(serving);
      const answers = inference.modelStreamInfer(oneAndWait())[Symbol.asyncIterator]();
      expect((await answers.next()).value?.inferResponse?.id).toBe("one");
      const slow = inference.modelReady({ name: "slow" });
      await service.logged("asked");
      service.signal(signal);
      expect((await watch.next()).value?.status).toBe(notServing);
      await expect(answers.next()).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "STOPPING" });
      expect((await slow).ready).toBe(true);
      expect(await service.exited).toBe(0);
      const from = service.log.findIndex(({ msg }) => msg === "Stopping.");
      expect(service.log.slice(from).map(({ msg }) => msg)).toEqual([
        "Stopping.",
        "drain action",
        "closed last opened",
        "closed first opened",
        "Stopped.",
      ]);
    });
  }

  test("takes calls for the drain delay while its health says NOT_SERVING", async () => {
    const service = new ServiceProcess(["--drain-delay-ms", "60000"]);
    const { address, http } = await service.listens();
    const { inference, health } = connect(address);
    await service.logged("ready");
    service.signal("SIGTERM");
    await service.logged("Stopping.");
    expect(await statusOf(health, "")).toBe(notServing);
    expect((await inference.modelReady({ name: "a" })).ready).toBe(true);
    const ready = await fetch(`${http}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, "The service is stopping.\n"]);
    service.signal("SIGTERM");
    expect(await service.exited).toBe(1);
    expect(service.log.at(-1)?.msg).toBe("Stopping at once: a second signal came.");
  });

  test("before it was ready stops all the same", async () => {
    const service = new ServiceProcess([]);
    await service.listens();
    service.signal("SIGTERM");
    expect(await service.exited).toBe(0);
  });
});

describe("a service whose worker", () => {
  test("fails, stops with its error in the log, exit 1", async () => {
    const service = new ServiceProcess(["--worker", "fails"]);
    expect(await service.exited).toBe(1);
    expect((await service.logged("A worker failed")).err).toMatchObject({ message: "the worker broke" });
    expect(service.log.map(({ msg }) => msg)).toContain("closed first opened");
  });

  test("ends by itself, stops, exit 1", async () => {
    const service = new ServiceProcess(["--worker", "ends"]);
    expect(await service.exited).toBe(1);
  });
});

describe("a service that exits with its parent", () => {
  for (const stdin of ["pipe", "ignore"] as const) {
    test(`is gone soon after its launcher was killed, with standard input: ${stdin}`, async () => {
      const fixture = fileURLToPath(new URL("./fixtures/echo-service.ts", import.meta.url));
      const launch = `
        const { spawn } = require("node:child_process");
        const child = spawn(process.execPath, ["--conditions=@millrace/source", ${JSON.stringify(fixture)}, "--exit-with-parent"],
          { stdio: ["${stdin}", "pipe", "inherit"], env: {} });
        child.stdout.on("data", (text) => String(text).includes("listens") && console.log(String(child.pid)));`;
      const launcher = spawn(process.execPath, ["-e", launch], { stdio: ["ignore", "pipe", "ignore"] });
      const [output] = await once(launcher.stdout, "data");
      const pid = Number(String(output).trim());
      expect(isAlive(pid)).toBe(true);
      launcher.kill("SIGKILL");
      await vi.waitUntil(() => !isAlive(pid), { timeout: 20_000 });
    });
  }
});

const oneAndWait = async function* () {
  yield { id: "one" };
  await new Promise<never>(() => {});
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
