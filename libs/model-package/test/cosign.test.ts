import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ModelStore } from "../src/model-store.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";
import { generateSigningKey, signerFromPem } from "../src/signing/signing-key.ts";
import { type DockerRegistry, skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";
import { hasTool, toolPath } from "./public-tools.ts";

const withoutLog = ["--insecure-ignore-tlog=true", "--allow-http-registry"];

describe.skipIf(skipWithoutRegistry || !hasTool("cosign"))("cosign (nx run model-package:install-tools)", () => {
  let registry: DockerRegistry;
  let store: ModelStore;
  let folder = "";

  const environment = () => ({ ...process.env, HOME: folder, COSIGN_PASSWORD: "password" });
  const cosign = (...words: string[]) =>
    execFileSync(toolPath("cosign"), words, { cwd: folder, env: environment(), encoding: "utf8", stdio: "pipe" });
  const push = async (card: string) => {
    const { digest } = await store.push("flight_delay", samplePackage({ card }), ["candidate"]);
    return { repository: "flight_delay", digest };
  };
  const imageOf = (digest: string) => `${registry.host}/team/flight_delay@${digest}`;

  beforeAll(async () => {
    registry = await startDockerRegistry();
    store = await openModelStore(`oci://${registry.host}/team`);
    folder = await mkdtemp(join(tmpdir(), "millrace-cosign-"));
  });
  afterAll(async () => {
    await store.close();
    await registry.stop();
    await rm(folder, { recursive: true });
  });

  test("finds a signature of ours, and refuses another key", async () => {
    const { digest } = await push("ours");
    const key = generateSigningKey();
    await writeFile(join(folder, "ours.pub"), key.publicKeyPem);
    await writeFile(join(folder, "other.pub"), generateSigningKey().publicKeyPem);
    await store.sign("flight_delay:candidate", signerFromPem(key.privateKeyPem));
    const [found] = JSON.parse(cosign("verify", "--key", "ours.pub", ...withoutLog, imageOf(digest)));
    expect(found.critical.image["docker-manifest-digest"]).toBe(digest);
    const words = ["verify", "--key", "other.pub", ...withoutLog, imageOf(digest)];
    const refused = spawnSync(toolPath("cosign"), words, { cwd: folder, env: environment(), encoding: "utf8" });
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toMatch(/signature/);
  });

  test("makes a signature that we find", async () => {
    const signed = await push("theirs");
    cosign("generate-key-pair", "--output-key-prefix", "theirs");
    const offline = ["--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", "--yes"];
    cosign("sign", "--key", "theirs.key", ...offline, imageOf(signed.digest));
    const pem = await readFile(join(folder, "theirs.pub"), "utf8");
    expect(await store.verifySignature(signed, [{ name: "theirs.pub", pem }])).toMatchObject({ keyName: "theirs.pub" });
  });
});
