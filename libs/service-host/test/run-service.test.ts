import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { createClient, openChannel, RpcError } from "@millrace/grpc";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { connect, notServing, ServiceProcess, serving, statusOf } from "./service-process.ts";
import { startSpanCollector } from "./span-collector.ts";

vi.setConfig({ testTimeout: 30_000 });

describe("a service that starts", () => {
  test("answers at once, and says SERVING and ready when its conditions hold", async () => {
    const service = new ServiceProcess([]);
    const { address, http } = await service.listens();
    const { inference, health } = connect(address);
    expect((await inference.modelReady({ name: "a" })).ready).toBe(true);
    const early = await fetch(`${http}/readyz`);
    if (early.status === 503) {
      expect(await early.text()).toBe("model: The model is loading.\n");
      expect(await statusOf(health, "")).toBe(notServing);
    }
    await service.logged("ready");
    expect((await fetch(`${http}/readyz`)).status).toBe(200);
    expect(await statusOf(health, "")).toBe(serving);
    expect(await statusOf(health, "inference.GRPCInferenceService")).toBe(serving);
    expect(await (await fetch(`${http}/healthz`)).text()).toBe("ok\n");
  });

  test("exports calls under the names of go-grpc-prometheus, and the delay of its event loop", async () => {
    const service = new ServiceProcess([]);
    const { address, http } = await service.listens();
    const { inference } = connect(address);
    await inference.modelReady({ name: "a" });
    await inference.modelReady({ name: "broken" }).catch(() => {});
    const text = await (await fetch(`${http}/metrics`)).text();
    const labels = 'grpc_type="unary",grpc_service="inference.GRPCInferenceService",grpc_method="ModelReady"';
    expect(text).toContain(`grpc_server_started_total{${labels}} 2`);
    expect(text).toContain(`grpc_server_handled_total{${labels},grpc_code="OK"} 1`);
    expect(text).toContain(`grpc_server_handled_total{${labels},grpc_code="Internal"} 1`);
    expect(text).toContain(`grpc_server_handling_seconds_count{${labels}} 2`);
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
    expect((await fetch(`${http}/nothing`)).status).toBe(404);
    expect((await fetch(`${http}/metrics`, { method: "POST" })).status).toBe(405);
  });

  test("refuses settings that it does not know in one line, exit 1", async () => {
    const service = new ServiceProcess(["--grpc-prot", "1"], { MILLRACE_LOG_LEVEL: "loud" });
    expect(await service.exited).toBe(1);
    expect(service.stdout).toBe("");
    expect(service.stderr.trim().split("\n")).toHaveLength(1);
    expect(service.stderr).toContain("did you mean --grpc-port?");
    expect(service.stderr).toContain("MILLRACE_LOG_LEVEL");
  });

  test("prints its settings with --help", async () => {
    const service = new ServiceProcess(["--help"]);
    expect(await service.exited).toBe(0);
    expect(service.stdout).toContain("--grpc-port, MILLRACE_GRPC_PORT");
    expect(service.stdout).toContain("--model-folder, MILLRACE_MODEL_FOLDER");
  });

  for (const flag of ["--grpc-port", "--metrics-port"]) {
    test(`says in one line that the port of ${flag} is taken, exit 1`, async () => {
      const holder = createServer().listen(0, "127.0.0.1");
      await once(holder, "listening");
      onTestFinished(() => {
        holder.close();
      });
      const address = holder.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const service = new ServiceProcess([flag, String(port)]);
      expect(await service.exited).toBe(1);
      expect(service.stderr.trim().split("\n")).toHaveLength(1);
      expect(service.stderr).toContain(`Cannot listen on 127.0.0.1:${port}`);
      expect(service.stderr).toContain("another process listens on this port");
    });
  }

  test("refuses an address beyond loopback without TLS and tokens", async () => {
    const service = new ServiceProcess(["--grpc-host", "0.0.0.0", "--metrics-host", "127.0.0.1"]);
    expect(await service.exited).toBe(1);
    expect(service.stderr).toContain("Refusing to listen on 0.0.0.0");
  });

  test("closes what it opened when its start fails, exit 1", async () => {
    const service = new ServiceProcess(["--build", "rejects"]);
    expect(await service.exited).toBe(1);
    expect(service.stderr).toContain("the start is broken");
    expect(service.log.map(({ msg }) => msg)).toContain("closed first opened");
  });
});

describe("a defect", () => {
  test("in a call is logged once with the trace id that the caller got", async () => {
    const service = new ServiceProcess([]);
    const { inference } = connect((await service.listens()).address);
    const error = await inference.modelReady({ name: "broken" }).catch((thrown: unknown) => thrown);
    const { traceId } = error instanceof RpcError ? error.metadata : { traceId: "" };
    expect(traceId).toMatch(/^[0-9a-f]{32}$/);
    const line = await service.logged("A call failed.");
    expect(line).toMatchObject({ traceId, err: { message: "a driver's own words" }, code: "INTERNAL" });
    expect(await service.logged("asked")).toMatchObject({ traceId, name: "broken" });
    expect(service.log.filter(({ msg }) => msg === "A call failed.")).toHaveLength(1);
  });

  test("that nobody handles is logged and ends the process, exit 1", async () => {
    const service = new ServiceProcess([]);
    const { inference } = connect((await service.listens()).address);
    inference.modelReady({ name: "rejection" }).catch(() => {});
    expect(await service.exited).toBe(1);
    expect(service.log.at(-1)).toMatchObject({ level: 60, err: { message: "nobody handles this" } });
  });
});

describe("healthcheck", () => {
  test("asks the service on its own port: 0 while it serves, 1 when it is gone", async () => {
    const service = new ServiceProcess([]);
    const { address } = await service.listens();
    await service.logged("ready");
    const ask = () => new ServiceProcess(["healthcheck"], { MILLRACE_GRPC_PORT: address.split(":")[1] ?? "" });
    expect(await ask().exited).toBe(0);
    service.signal("SIGTERM");
    await service.exited;
    const refused = ask();
    expect(await refused.exited).toBe(1);
    expect(refused.stderr).toContain(`${address} did not answer`);
  });
});

describe("a service with TLS files and a token file", () => {
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), "millrace-host-"));
    onTestFinished(() => rmSync(path, { recursive: true }));
    execFileSync(
      "openssl",
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem".split(
        " ",
      ),
      { cwd: path, stdio: "pipe" },
    );
    writeFileSync(join(path, "tokens"), "demo 0123456789abcdef-demo\n");
    return path;
  };

  test("answers those who have both, and its own healthcheck", async () => {
    const path = folder();
    const [certificate, key, tokens] = ["cert.pem", "key.pem", "tokens"].map((name) => join(path, name));
    const environment = {
      MILLRACE_TLS_CERTIFICATE_FILE: certificate ?? "",
      MILLRACE_TLS_PRIVATE_KEY_FILE: key ?? "",
      MILLRACE_TOKEN_FILE: tokens ?? "",
    };
    const service = new ServiceProcess([], environment);
    const { address } = await service.listens();
    await service.logged("ready");
    for (const [token, answer] of [
      ["0123456789abcdef-demo", { ready: true }],
      ["0123456789abcdef-none", { code: "UNAUTHENTICATED" }],
    ] as const) {
      const channel = openChannel(address, { tls: { caFile: certificate }, token, ownConnection: true });
      onTestFinished(() => channel.close());
      const call = createClient(GRPCInferenceService, channel).modelReady({ name: "a" });
      expect(await call.catch((error: unknown) => error)).toMatchObject(answer);
    }
    const asked = new ServiceProcess(["healthcheck", "--grpc-port", address.split(":")[1] ?? ""], environment);
    expect(await asked.exited).toBe(0);
    expect(service.stdout).not.toContain("0123456789abcdef");
  });

  test("is called by another service with that one's peer authority and token, in one trace", async () => {
    const path = folder();
    const inner = new ServiceProcess([], {
      MILLRACE_TLS_CERTIFICATE_FILE: join(path, "cert.pem"),
      MILLRACE_TLS_PRIVATE_KEY_FILE: join(path, "key.pem"),
      MILLRACE_TOKEN_FILE: join(path, "tokens"),
    });
    const outer = new ServiceProcess(["--peer-address", (await inner.listens()).address], {
      MILLRACE_PEER_CA_FILE: join(path, "cert.pem"),
      MILLRACE_PEER_TOKEN_FILE: join(path, "tokens"),
    });
    const { inference } = connect((await outer.listens()).address);
    expect((await inference.modelReady({ name: "peer" })).ready).toBe(true);
    const [there, here] = [await inner.logged("asked"), await outer.logged("asked")];
    expect(there).toMatchObject({ name: "from peer", traceId: here.traceId });
  });

  test("does not start with half of a pair, nor with a file that is not there", async () => {
    const half = new ServiceProcess(["--tls-certificate-file", "cert.pem"]);
    const peer = new ServiceProcess(["--peer-private-key-file", "key.pem"]);
    const absent = new ServiceProcess(["--token-file", "/no/such/tokens"]);
    expect([await half.exited, await peer.exited, await absent.exited]).toEqual([1, 1, 1]);
    expect(half.stderr).toContain(
      "MILLRACE_TLS_PRIVATE_KEY_FILE: expected a file, since MILLRACE_TLS_CERTIFICATE_FILE",
    );
    expect(peer.stderr).toContain("MILLRACE_PEER_CERTIFICATE_FILE: expected a file");
    expect(absent.stderr).toBe("echo: The token file /no/such/tokens cannot be read.\n");
  });
});

describe("a service with an OTLP endpoint", () => {
  test("sends a span for a recorded call with the ids of its trace, and none for another", async () => {
    const collector = await startSpanCollector();
    const service = new ServiceProcess(["--otlp-endpoint", collector.url, "--trace-sample-ratio", "0"]);
    const { inference } = connect((await service.listens()).address);
    const recorded = "4bf92f3577b34da6a3ce929d0e0e4736";
    const caller = "00f067aa0ba902b7";
    await inference.modelReady({ name: "a" }, { metadata: { traceparent: `00-${recorded}-${caller}-01` } });
    await inference.modelReady({ name: "b" });
    service.signal("SIGTERM");
    expect(await service.exited).toBe(0);
    const bytes = collector.received();
    expect(bytes.includes(Buffer.from(recorded, "hex"))).toBe(true);
    expect(bytes.includes(Buffer.from(caller, "hex"))).toBe(true);
    expect(bytes.includes("service.name")).toBe(true);
    expect(bytes.toString("latin1").split("inference.GRPCInferenceService/ModelReady")).toHaveLength(2);
  });
});
