import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { expectReason } from "../src/model-store.contract.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";
import { type DockerRegistry, skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";

const listen = async (server: Server): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const close = (server: Server) => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
};

/** Registries keep blobs in a store of objects and send readers there: here one registry stands behind two doors. */
describe.skipIf(skipWithoutRegistry)("a registry that sends readers of blobs to another host", () => {
  let registry: DockerRegistry;
  let folder = "";
  const seen: { readonly door: "front" | "objects"; readonly headers: IncomingHttpHeaders }[] = [];
  let objectsHost = "";
  const door = (name: "front" | "objects") =>
    createServer((incoming, outgoing) => {
      seen.push({ door: name, headers: incoming.headers });
      if (name === "front" && incoming.method === "GET" && incoming.url?.includes("/blobs/sha256:")) {
        outgoing.writeHead(307, { location: `http://${objectsHost}${incoming.url}` }).end();
        return;
      }
      if (name === "front" && incoming.headers.authorization === undefined) {
        outgoing.writeHead(401, { "www-authenticate": 'Basic realm="front"' }).end();
        return;
      }
      const [hostname, port] = registry.host.split(":");
      const { authorization: _, ...headers } = incoming.headers;
      const { method = "GET", url = "/" } = incoming;
      incoming.pipe(
        request({ hostname, port, method, path: url, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
          answer.pipe(outgoing);
        }),
      );
    });
  const [front, objects] = [door("front"), door("objects")];
  let frontHost = "";

  beforeAll(async () => {
    registry = await startDockerRegistry();
    [frontHost, objectsHost] = [await listen(front), await listen(objects)];
    folder = await mkdtemp(join(tmpdir(), "millrace-docker-"));
    const auth = Buffer.from("someone:secret").toString("base64");
    await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [frontHost]: { auth } } }));
    vi.stubEnv("DOCKER_CONFIG", folder);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await Promise.all([close(front), close(objects)]);
    await registry.stop();
    await rm(folder, { recursive: true });
  });

  test("gets no credentials there", async () => {
    const store = await openModelStore(`oci://${frontHost}`);
    const { digest } = await store.push("flight_delay", samplePackage());
    await store.pull(`flight_delay@${digest}`, ["model", "baseline", "golden", "card"]);
    await store.close();
    const authorized = (name: string) => seen.filter((call) => call.door === name && call.headers.authorization).length;
    expect(seen.filter((call) => call.door === "objects").length).toBeGreaterThan(0);
    expect([authorized("front") > 0, authorized("objects")]).toEqual([true, 0]);
  });
});

describe("a registry that only ever sends on", () => {
  test("is given up after a few steps", async () => {
    const circle = createServer((incoming, outgoing) => {
      outgoing.writeHead(302, { location: incoming.url }).end();
    });
    const store = await openModelStore(`oci://${await listen(circle)}`);
    await expectReason(store.resolve("flight_delay:latest"), "REGISTRY_UNAVAILABLE", "FAILED_PRECONDITION");
    await store.close();
    await close(circle);
  });
});

describe("another host that a registry sends on to, and that asks for credentials", () => {
  test("is told none, wherever it says that they are to be sent", async () => {
    const told: (string | undefined)[] = [];
    const foreign = createServer((incoming, outgoing) => {
      told.push(incoming.headers.authorization);
      outgoing.writeHead(401, { "www-authenticate": `Bearer realm="http://${foreignHost}/token"` }).end();
    });
    const foreignHost = await listen(foreign);
    const registry = createServer((_, outgoing) => {
      outgoing.writeHead(307, { location: `http://${foreignHost}/moved` }).end();
    });
    const host = await listen(registry);
    const folder = await mkdtemp(join(tmpdir(), "millrace-docker-"));
    const auth = Buffer.from("someone:secret").toString("base64");
    await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [host]: { auth } } }));
    vi.stubEnv("DOCKER_CONFIG", folder);
    const store = await openModelStore(`oci://${host}`);
    await expectReason(store.resolve("flight_delay:latest"), "REGISTRY_UNAVAILABLE", "UNAUTHENTICATED");
    expect(told).toEqual([undefined]);
    vi.unstubAllEnvs();
    await store.close();
    await Promise.all([close(registry), close(foreign)]);
    await rm(folder, { recursive: true });
  });
});
