import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { expectReason } from "../src/model-store.contract.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { parseAuthChallenge } from "../src/registry/auth-challenge.ts";
import { parseRegistryUrl } from "../src/registry/registry-address.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";
import { type DockerRegistry, skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";
import { startTokenService, type TokenService } from "./token-service.ts";

const basic = (user: string, password: string) => Buffer.from(`${user}:${password}`).toString("base64");

describe.skipIf(skipWithoutRegistry)("a registry that asks who we are", () => {
  let folder = "";
  let registry: DockerRegistry | undefined;
  let tokens: TokenService | undefined;

  const configure = (config: unknown) => writeFile(join(folder, "config.json"), JSON.stringify(config));
  const roundTrip = async (host: string) => {
    const store = await openModelStore(`oci://${host}/team`);
    try {
      const { digest } = await store.push("flight_delay", samplePackage(), ["latest"]);
      await (await store.pull(`flight_delay@${digest}`)).model();
    } finally {
      await store.close();
    }
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-docker-"));
    vi.stubEnv("DOCKER_CONFIG", folder);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await registry?.stop();
    await tokens?.close();
    [registry, tokens] = [undefined, undefined];
    await rm(folder, { recursive: true });
  });

  describe("for user and password", () => {
    beforeEach(async () => {
      // The bcrypt hash of "secret".
      const line = "someone:$2a$05$5b/yTQPno3zvAZ2lXKWWtOZ681mPovXl0zLe8ccuOD3TpfAOMzP46";
      await writeFile(join(folder, "htpasswd"), line);
      registry = await startDockerRegistry([`auth: {htpasswd: {realm: models, path: ${join(folder, "htpasswd")}}}`]);
    });

    test("gets those of docker's config.json", async () => {
      await configure({ auths: { [`http://${registry?.host}/v1/`]: { auth: basic("someone", "secret") } } });
      await roundTrip(registry?.host ?? "");
    });

    test("gets those of a credential helper", async () => {
      const helper = join(folder, "docker-credential-test");
      await writeFile(helper, `#!/bin/sh\nread host\necho '{"Username":"someone","Secret":"secret"}'\n`);
      await chmod(helper, 0o755);
      vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
      await configure({ credHelpers: { [registry?.host ?? ""]: "test" } });
      await roundTrip(registry?.host ?? "");
    });

    test("is an UNAUTHENTICATED where docker knows none, a wrong one, or the file cannot be read", async () => {
      const refused = async () => {
        const error = await expectReason(roundTrip(registry?.host ?? ""), "REGISTRY_UNAVAILABLE", "UNAUTHENTICATED");
        expect(`${error.message} ${error.cause}`).not.toContain("wrong");
      };
      await refused();
      await configure({ auths: { [registry?.host ?? ""]: { auth: basic("someone", "wrong") } } });
      await refused();
      await writeFile(join(folder, "config.json"), '{"auths": "wrong');
      await refused();
      await configure({ credsStore: "absent" });
      await refused();
    });
  });

  describe("for a token of its token service", () => {
    const start = async (accepts: (authorization: string | undefined, body: string) => boolean) => {
      tokens = await startTokenService(folder, accepts);
      const { realm, certificatePath } = tokens;
      const token = `{realm: "${realm}", service: registry, issuer: tokens, rootcertbundle: "${certificatePath}"}`;
      registry = await startDockerRegistry([`auth: {token: ${token}}`]);
      return registry.host;
    };

    test("gets one for each scope, once, with docker's user and password", async () => {
      const host = await start((authorization) => authorization === `Basic ${basic("someone", "secret")}`);
      await configure({ auths: { [host]: { auth: basic("someone", "secret") } } });
      await roundTrip(host);
      expect(tokens?.asked).toHaveLength(2);
    });

    test("gets one with docker's identity token", async () => {
      const host = await start((_, body) => new URLSearchParams(body).get("refresh_token") === "identity");
      await configure({ auths: { [host]: { identitytoken: "identity" } } });
      await roundTrip(host);
    });

    test("is an UNAUTHENTICATED where the token service refuses", async () => {
      const host = await start(() => false);
      await expectReason(roundTrip(host), "REGISTRY_UNAVAILABLE", "UNAUTHENTICATED");
    });
  });
});

describe("a registry's challenge", () => {
  test("is read whatever its order and quoting", () => {
    expect(
      parseAuthChallenge('Basic realm="x", Bearer realm="https://a/t",service="r, s",scope="repository:a:pull,push"'),
    ).toEqual({ scheme: "bearer", realm: "https://a/t", service: "r, s", scope: "repository:a:pull,push" });
    expect(parseAuthChallenge("basic realm=x")).toEqual({ scheme: "basic" });
    expect(parseAuthChallenge("Negotiate")).toBeUndefined();
  });
});

describe("a registry's address", () => {
  test("is without TLS only for this machine, or where the URL says so", () => {
    const origin = (url: string) => parseRegistryUrl(url).origin;
    expect(origin("oci://127.0.0.1:5000/a")).toBe("http://127.0.0.1:5000");
    expect(origin("oci://localhost/a")).toBe("http://localhost");
    expect(origin("oci://[::1]:5000/a")).toBe("http://[::1]:5000");
    expect(origin("oci://127.0.0.1:5000/a?plainHttp=false")).toBe("https://127.0.0.1:5000");
    expect(origin("oci://registry.example/a/b")).toBe("https://registry.example");
    expect(origin("oci://registry:5000/a?plainHttp=true")).toBe("http://registry:5000");
    expect(origin("oci://127.0.0.1.example:5000/a")).toBe("https://127.0.0.1.example:5000");
  });
});
