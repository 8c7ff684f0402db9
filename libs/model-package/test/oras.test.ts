import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";
import { generateSigningKey, signerFromPem } from "../src/signing/signing-key.ts";
import { type DockerRegistry, skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";
import { hasTool, toolPath } from "./public-tools.ts";

/** An independent reader and writer of artifacts, in layouts and in registries. */
describe.skipIf(skipWithoutRegistry || !hasTool("oras"))("oras (nx run model-package:install-tools)", () => {
  let registry: DockerRegistry;
  let folder = "";
  const key = generateSigningKey();
  const signer = signerFromPem(key.privateKeyPem);
  const trusted = [{ name: "release.pub", pem: key.publicKeyPem }];
  const content = samplePackage();

  const oras = (...words: string[]) =>
    execFileSync(toolPath("oras"), words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

  beforeAll(async () => {
    registry = await startDockerRegistry();
    folder = await mkdtemp(join(tmpdir(), "millrace-oras-"));
  });
  afterAll(async () => {
    await registry.stop();
    await rm(folder, { recursive: true });
  });

  /** The same in both stores: how oras is told where the package lies. */
  const stores = [
    {
      kind: "a layout",
      url: () => `oci:${folder}/models`,
      at: () => ({ flag: "--oci-layout", name: `${folder}/models/flight_delay` }),
    },
    {
      kind: "a registry",
      url: () => `oci://${registry.host}/team`,
      at: () => ({ flag: "--plain-http", name: `${registry.host}/team/flight_delay` }),
    },
  ];

  test.each(stores)("pulls every file of a package by its name from $kind", async ({ url, at }) => {
    const store = await openModelStore(url());
    const { digest } = await store.push("flight_delay", content, ["candidate"]);
    const { flag, name } = at();
    const out = await mkdtemp(join(folder, "out-"));
    expect(oras("resolve", flag, `${name}:candidate`).trim()).toBe(digest);
    oras("pull", flag, `${name}@${digest}`, "-o", out);
    expect((await readdir(out)).sort()).toEqual(
      ["README.md", "baseline.binpb", "golden.binpb", "millrace.json", "model.onnx"].sort(),
    );
    expect(await readFile(join(out, "README.md"), "utf8")).toBe(content.card);
    expect(Buffer.compare(await readFile(join(out, "model.onnx")), content.model)).toBe(0);
    await store.close();
  });

  test.each(stores)("discovers our signature beside a package in $kind", async ({ url, at }) => {
    const store = await openModelStore(url());
    const { digest } = await store.push("flight_delay", content, ["candidate"]);
    const { signature } = await store.sign("flight_delay:candidate", signer);
    const { flag, name } = at();
    const { referrers } = JSON.parse(oras("discover", flag, "--format", "json", `${name}@${digest}`));
    expect(referrers.map((found: { digest: string }) => found.digest)).toContain(signature);
    await store.close();
  });

  test("copies a signed package from a layout to a registry, and the signature holds there", async () => {
    const layout = await openModelStore(`oci:${folder}/copied`);
    const { digest } = await layout.push("flight_delay", content, ["candidate"]);
    await layout.sign("flight_delay:candidate", signer);
    const to = `${registry.host}/copied/flight_delay:candidate`;
    oras("copy", "--recursive", "--from-oci-layout", `${folder}/copied/flight_delay:candidate`, "--to-plain-http", to);
    const promoted = await openModelStore(`oci://${registry.host}/copied`);
    const signed = { repository: "flight_delay", digest };
    expect(await promoted.resolve("flight_delay:candidate")).toEqual(signed);
    expect(await promoted.verifySignature(signed, trusted)).toMatchObject({ keyName: "release.pub" });
    expect(await promoted.tags("flight_delay")).toEqual(["candidate"]);
    await layout.close();
    await promoted.close();
  });
});
