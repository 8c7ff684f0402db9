import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { expectReason } from "../src/model-store.contract.ts";
import type { ModelStore } from "../src/model-store.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
import { type DockerRegistry, freePort, skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";
import { type FrontCall, startRegistryFront } from "./registry-front.ts";

const mebibyte = 1024 ** 2;

describe.skipIf(skipWithoutRegistry)("a registry behind a network that breaks", () => {
  let registry: DockerRegistry;
  let proxy: CuttingProxy;
  let store: ModelStore;

  beforeAll(async () => {
    registry = await startDockerRegistry();
  });
  afterAll(() => registry.stop());
  beforeEach(async () => {
    proxy = await startCuttingProxy(registry.host);
    store = await openModelStore(`oci://${proxy.host}`);
  });
  afterEach(async () => {
    await store.close();
    await proxy.close();
  });

  test("takes an upload that broke in the middle of a chunk", async () => {
    const model = randomBytes(40 * mebibyte);
    proxy.cutAfter("up", 20 * mebibyte);
    const { digest } = await store.push("up", samplePackage({ model }), ["latest"]);
    expect(proxy.cuts).toBe(1);
    expect(Buffer.compare(await (await store.pull(`up@${digest}`)).model(), model)).toBe(0);
  });

  test("gives a download that broke in the middle", async () => {
    const model = randomBytes(20 * mebibyte);
    const { digest } = await store.push("down", samplePackage({ model }));
    const pulled = await store.pull(`down@${digest}`);
    proxy.cutAfter("down", 10 * mebibyte);
    expect(Buffer.compare(await pulled.model(), model)).toBe(0);
    expect(proxy.cuts).toBe(1);
  });

  test("takes a small blob whose upload broke", async () => {
    proxy.cutAfter("up", 600);
    await store.push("small", samplePackage(), ["latest"]);
    expect(proxy.cuts).toBe(1);
    await store.pull("small:latest", ["model", "baseline", "golden", "card"]);
  });
});

describe.skipIf(skipWithoutRegistry)("a registry that does not see a blob that it has", () => {
  const unknownBlob = () =>
    Response.json({ errors: [{ code: "DIGEST_INVALID" }, { code: "MANIFEST_BLOB_UNKNOWN" }] }, { status: 400 });
  const isManifest = ({ method, url }: FrontCall) => method === "PUT" && url.includes("/manifests/");

  test("takes the manifest a moment later, and is asked a few times only", async () => {
    const registry = await startDockerRegistry();
    let blind = 2;
    const front = await startRegistryFront(registry.host, async (call) =>
      isManifest(call) && blind-- > 0 ? unknownBlob() : undefined,
    );
    const store = await openModelStore(`oci://${front.host}`);
    await store.push("flight_delay", samplePackage(), ["latest"]);
    await store.pull("flight_delay:latest");
    blind = 1000;
    const error = await expectReason(
      store.push("flight_delay", samplePackage({ card: "another" })),
      "REGISTRY_UNAVAILABLE",
      "FAILED_PRECONDITION",
    );
    expect(error.message).toContain("MANIFEST_BLOB_UNKNOWN");
    expect(front.calls.filter(isManifest)).toHaveLength(2 + 2 + 4);
    await store.close();
    await front.close();
    await registry.stop();
  });
});

describe("a registry that is not there", () => {
  test("is REGISTRY_UNAVAILABLE and names the host", async () => {
    const host = `127.0.0.1:${await freePort()}`;
    const store = await openModelStore(`oci://${host}`);
    const error = await expectReason(store.resolve("flight_delay:latest"), "REGISTRY_UNAVAILABLE", "UNAVAILABLE");
    expect(error.message).toContain(host);
    await store.close();
  });

  test("is not waited for once the caller gave up", async () => {
    const store = await openModelStore(`oci://127.0.0.1:${await freePort()}`);
    await expect(store.resolve("flight_delay:latest", AbortSignal.timeout(50))).rejects.toThrow(/timeout|aborted/i);
    await store.close();
  });
});
