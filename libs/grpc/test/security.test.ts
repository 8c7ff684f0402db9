import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Health } from "@millrace/contracts/grpc/health/v1/health";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createClient, implement, openChannel, readBearerTokens, startGrpcServer } from "../src/index.ts";
import { serveForTest } from "./serve-for-test.ts";

const handlers = {
  modelReady: async (_request: unknown, call: { principal: string | undefined }) => ({
    ready: call.principal === "demo",
  }),
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-tls-"));
  const openssl = (...words: string[]) => execFileSync("openssl", words, { cwd: folder, stdio: "pipe" });
  const authority = (name: string) =>
    openssl(
      ...`req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=${name} -keyout ${name}.key -out ${name}.pem`.split(
        " ",
      ),
    );
  const signed = (name: string, common: string, by: string) => {
    openssl(
      ...`req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=${common} -keyout ${name}.key -out ${name}.csr`.split(
        " ",
      ),
    );
    writeFileSync(join(folder, "san.cnf"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    openssl(
      ...`x509 -req -in ${name}.csr -CA ${by}.pem -CAkey ${by}.key -CAcreateserial -days 2 -extfile san.cnf -out ${name}.pem`.split(
        " ",
      ),
    );
  };
  authority("ca");
  authority("other");
  signed("server", "server", "ca");
  signed("client", "demo", "ca");
  signed("stranger", "demo", "other");
  signed("renewed", "renewed", "other");
});
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);
const serverFiles = () => ({ certificateFile: at("server.pem"), privateKeyFile: at("server.key") });

describe("a server with bearer tokens", () => {
  const tokens = () => {
    writeFileSync(at("tokens"), "# who may call\ndemo 0123456789abcdef-demo\nother 0123456789abcdef-other\n");
    return readBearerTokens(at("tokens"));
  };

  test("names the caller by its token", async () => {
    const { client } = await serveForTest(handlers, { tokens: tokens() }, { token: "0123456789abcdef-demo" });
    expect((await client.modelReady({})).ready).toBe(true);
  });

  test("refuses a call without one, and with a wrong one, as UNAUTHENTICATED and without repeating it", async () => {
    const { client, server } = await serveForTest(handlers, { tokens: tokens() });
    await expect(client.modelReady({})).rejects.toMatchObject({ code: "UNAUTHENTICATED", reason: "UNAUTHENTICATED" });
    const channel = openChannel(server.address, { token: "0123456789abcdef-wrong" });
    onTestFinished(() => channel.close());
    const refused = createClient(GRPCInferenceService, channel).modelReady({});
    await expect(refused).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await expect(refused).rejects.not.toThrow(/wrong/);
    const stream = createClient(GRPCInferenceService, channel).modelStreamInfer(nothing())[Symbol.asyncIterator]();
    await expect(stream.next()).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });

  test("answers probes of its health without one", async () => {
    const { channel } = await serveForTest(handlers, { tokens: tokens() });
    expect((await createClient(Health, channel).check({})).status).toBe(1);
  });

  test("does not start with a token file that is missing, empty or has a short token", () => {
    expect(() => readBearerTokens(at("no-such-file"))).toThrow(/cannot be read/);
    writeFileSync(at("empty"), "# none\n");
    expect(() => readBearerTokens(at("empty"))).toThrow(/has no token/);
    writeFileSync(at("short"), "demo short\n");
    expect(() => readBearerTokens(at("short"))).toThrow(/shorter than 16/);
  });
});

describe("a server with TLS", () => {
  test("answers a client that trusts its authority, and no other", async () => {
    const tls = serverFiles();
    const { client, server } = await serveForTest(handlers, { tls }, { tls: { caFile: at("ca.pem") } });
    expect((await client.modelReady({})).ready).toBe(false);
    for (const strange of [{ tls: { caFile: at("other.pem") } }, {}]) {
      const channel = openChannel(server.address, strange);
      onTestFinished(() => channel.close());
      const call = createClient(GRPCInferenceService, channel).modelReady({}, { timeoutMs: 2000 });
      await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|DEADLINE_EXCEEDED/) });
    }
  });

  test("and an authority for clients takes a certificate of that authority, and names the caller by it", async () => {
    const tls = { ...serverFiles(), clientCaFile: at("ca.pem") };
    const own = { caFile: at("ca.pem"), certificateFile: at("client.pem"), privateKeyFile: at("client.key") };
    const { client, server } = await serveForTest(handlers, { tls }, { tls: own });
    expect((await client.modelReady({})).ready).toBe(true);
    const strange = { ...own, certificateFile: at("stranger.pem"), privateKeyFile: at("stranger.key") };
    for (const each of [strange, { caFile: at("ca.pem") }]) {
      const channel = openChannel(server.address, { tls: each });
      onTestFinished(() => channel.close());
      const call = createClient(GRPCInferenceService, channel).modelReady({}, { timeoutMs: 2000 });
      await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|DEADLINE_EXCEEDED/) });
    }
  });

  test("uses a renewed certificate for the next connection, and leaves a half-renewed one alone", async () => {
    copyFileSync(at("server.pem"), at("live.pem"));
    copyFileSync(at("server.key"), at("live.key"));
    const tls = { certificateFile: at("live.pem"), privateKeyFile: at("live.key"), refreshMs: 20 };
    const { client, server } = await serveForTest(handlers, { tls }, { tls: { caFile: at("ca.pem") } });
    await client.modelReady({});
    const reaches = async (ca: string): Promise<boolean> => {
      const channel = openChannel(server.address, { tls: { caFile: at(ca) }, ownConnection: true });
      try {
        await createClient(GRPCInferenceService, channel).modelReady({}, { timeoutMs: 1000 });
        return true;
      } catch {
        return false;
      } finally {
        channel.close();
      }
    };
    copyFileSync(at("renewed.pem"), at("live.pem"));
    await sleep(100);
    expect(await reaches("ca.pem")).toBe(true);
    copyFileSync(at("renewed.key"), at("live.key"));
    while (!(await reaches("other.pem"))) {
      await sleep(20);
    }
    expect(await reaches("ca.pem")).toBe(false);
  });

  test("does not start with files that are missing, no PEM, or of another pair", async () => {
    const start = (certificate: string, key: string) =>
      startGrpcServer({ services: [], tls: { certificateFile: at(certificate), privateKeyFile: at(key) } });
    writeFileSync(at("text"), "no certificate\n");
    await expect(start("nothing.pem", "server.key")).rejects.toThrow(/nothing\.pem cannot be read/);
    await expect(start("text", "server.key")).rejects.toThrow(/is no PEM file/);
    await expect(start("server.pem", "client.key")).rejects.toThrow(/do not fit/);
  });
});

describe("a server beyond loopback", () => {
  test("does not start without TLS or tokens, unless plain text is allowed by name", async () => {
    const services = [implement(GRPCInferenceService, {})];
    await expect(startGrpcServer({ services, host: "0.0.0.0" })).rejects.toMatchObject({
      reasonName: "SETTING_INVALID",
      message: "Refusing to listen on 0.0.0.0: an address beyond loopback needs TLS files or a token file.",
    });
    const server = await startGrpcServer({ services, host: "0.0.0.0", allowPlaintext: true });
    server.close();
  });
});

describe("a port that is taken", () => {
  test("is named in one sentence", async () => {
    const { server } = await serveForTest({});
    await expect(startGrpcServer({ services: [], port: server.port })).rejects.toThrow(
      `Cannot listen on ${server.address}: another process listens on this port.`,
    );
  });
});

const nothing = async function* () {};
