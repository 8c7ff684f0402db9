import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, type IncomingMessage, type RequestOptions, request } from "node:http";
import { request as tlsRequest } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { TLSSocket } from "node:tls";
import { gzipSync } from "node:zlib";
import { CannotListenError, readBearerTokens } from "@millrace/grpc";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { RestRoute } from "./rest-route.ts";
import { RestServer, type RestServerOptions } from "./rest-server.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-rest-server-"));
const at = (name: string) => join(folder, name);

beforeAll(() => {
  writeFileSync(at("tokens"), "demo 0123456789abcdef-demo\n");
  const openssl = (words: string) => execFileSync("openssl", words.split(" "), { cwd: folder, stdio: "pipe" });
  const key = "ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  openssl(`req -x509 -newkey ${key} -days 2 -subj /CN=ca -keyout ca.key -out ca.pem`);
  writeFileSync(at("san.cnf"), "subjectAltName=IP:127.0.0.1\n");
  for (const name of ["server", "client", "renewed"]) {
    openssl(`req -newkey ${key} -subj /CN=${name} -keyout ${name}.key -out ${name}.csr`);
    openssl(
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san.cnf -out ${name}.pem`,
    );
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

const plain = (body: string) => ({ status: 200, type: "text/plain", body });
const routes: readonly RestRoute[] = [
  { method: "GET", path: "v2/health/live", open: true, answer: async () => plain("") },
  { method: "GET", path: "v2/whoami", answer: async ({ call }) => plain(call.principal ?? "nobody") },
  { method: "POST", path: "v2/length", answer: async ({ body }) => plain(String((await body()).byteLength)) },
  {
    method: "GET",
    path: "v2/defect",
    answer: async () => {
      throw new Error("a secret");
    },
  },
];

const failures: unknown[] = [];
const listen = async (options: Partial<RestServerOptions> = {}): Promise<RestServer> => {
  const server = await RestServer.listen({
    host: "127.0.0.1",
    port: 0,
    maxReceiveBytes: 2000,
    maxInFlightBytes: 10_000,
    routes,
    onAnswered: () => {},
    onFailure: (error) => failures.push(error),
    ...options,
  });
  onTestFinished(() => server.close());
  return server;
};

/** Sends a request. @param body sent when the connection takes it. */
const ask = (ask: typeof request | typeof tlsRequest, url: string, options: RequestOptions, body?: Uint8Array) =>
  new Promise<{ status: number | undefined; text: string; response: IncomingMessage }>((resolve, reject) => {
    const call = ask(url, { agent: false, ...options }, (response) => {
      text(response).then((text) => resolve({ status: response.statusCode, text, response }), reject);
    });
    call.on("continue", () => reject(new Error("The server let the body come.")));
    call.on("error", reject);
    if (options.headers !== undefined && "expect" in options.headers) call.flushHeaders();
    else call.end(body);
  });

describe("the REST server", () => {
  test("names the port where another process has it", async () => {
    const { address } = await listen();
    const port = Number(address.split(":")[1]);
    await expect(listen({ port })).rejects.toThrow(/^Cannot listen on 127.0.0.1:\d+ for REST: another process/);
  });

  test("listens beyond loopback with TLS or tokens alone, or where it is told that this is well", async () => {
    await expect(listen({ host: "0.0.0.0" })).rejects.toThrow(CannotListenError);
    await listen({ host: "0.0.0.0", tokens: readBearerTokens(at("tokens")) });
    await listen({ host: "0.0.0.0", allowPlaintext: true });
  });

  test("tells a caller nothing of a defect but where to look", async () => {
    const { address } = await listen();
    const { status, text } = await ask(request, `http://${address}/v2/defect`, {});
    expect(status).toBe(500);
    expect(text).toMatch(
      /^\{"error":"Internal error. The log of the service has its cause under trace id [0-9a-f]{32}."\}$/,
    );
    expect(failures.splice(0)).toEqual([new Error("a secret")]);
  });

  test("with tokens wants one of every request but a probe, and knows whose it is", async () => {
    const { address } = await listen({ tokens: readBearerTokens(at("tokens")) });
    const who = (authorization?: string) =>
      ask(request, `http://${address}/v2/whoami`, authorization === undefined ? {} : { headers: { authorization } });
    const without = await who();
    expect(without).toMatchObject({ status: 401, text: expect.stringContaining("needs a bearer token") });
    expect(without.response.headers["www-authenticate"]).toBe("Bearer");
    expect(await who("Bearer 0123456789abcdef-none")).toMatchObject({ status: 401 });
    expect(await who("Bearer 0123456789abcdef-demo")).toMatchObject({ status: 200, text: "demo" });
    expect((await ask(request, `http://${address}/v2/health/live`, {})).status).toBe(200);
  });
});

describe("a REST server with TLS", () => {
  const get = async (address: string, options: RequestOptions & { key?: Buffer; cert?: Buffer } = {}) => {
    const ca = readFileSync(at("ca.pem"));
    const { response, text } = await ask(tlsRequest, `https://${address}/v2/whoami`, {
      ca,
      ...options,
    } as RequestOptions);
    const { socket } = response;
    return { text, name: socket instanceof TLSSocket ? socket.getPeerCertificate().subject?.CN : undefined };
  };

  test("speaks TLS alone, and uses a renewed certificate", async () => {
    copyFileSync(at("server.pem"), at("used.pem"));
    copyFileSync(at("server.key"), at("used.key"));
    const tls = { certificateFile: at("used.pem"), privateKeyFile: at("used.key"), refreshMs: 20 };
    const { address } = await listen({ host: "127.0.0.1", tls });
    expect(await get(address)).toEqual({ name: "server", text: "nobody" });
    await expect(ask(request, `http://${address}/v2/whoami`, {})).rejects.toThrow();
    copyFileSync(at("renewed.key"), at("used.key"));
    copyFileSync(at("renewed.pem"), at("used.pem"));
    while ((await get(address)).name !== "renewed") await sleep(20);
  });

  test("and an authority for clients takes only those that it signed, and knows them by name", async () => {
    const tls = { certificateFile: at("server.pem"), privateKeyFile: at("server.key"), clientCaFile: at("ca.pem") };
    const { address } = await listen({ tls });
    await expect(get(address)).rejects.toThrow();
    const own = { key: readFileSync(at("client.key")), cert: readFileSync(at("client.pem")) };
    expect((await get(address, own)).text).toBe("client");
  });

  test("stops while a caller has not ended its TLS handshake", async () => {
    const tls = { certificateFile: at("server.pem"), privateKeyFile: at("server.key") };
    const server = await listen({ tls });
    const caller = connect(Number(server.address.split(":").at(-1)), "127.0.0.1");
    await once(caller, "connect");
    const closed = once(caller, "close");
    const stop = new AbortController();
    const ended = server.run(stop.signal);
    const ca = readFileSync(at("ca.pem"));
    await ask(tlsRequest, `https://${server.address}/v2/health/live`, { ca } as RequestOptions);
    stop.abort();
    await Promise.all([ended, closed]);
  });

  test("does not listen with files that do not fit", async () => {
    const tls = { certificateFile: at("server.pem"), privateKeyFile: at("client.key") };
    await expect(listen({ tls })).rejects.toThrow(CannotListenError);
  });
});

describe("requests of one connection that do not wait for each other", () => {
  test("are answered one after the other, in order", async () => {
    let most = 0;
    let open = 0;
    const answer: RestRoute["answer"] = async ({ part }) => {
      most = Math.max(most, ++open);
      await sleep(1);
      open--;
      return plain(`<${part("id")}>`);
    };
    const { address } = await listen({ routes: [{ method: "GET", path: "v2/:id", answer }] });
    const [host, port] = address.split(":");
    const socket = connect(Number(port), host);
    const ids = Array.from({ length: 50 }, (_, id) => id);
    socket.write(
      ids.map((id) => `GET /v2/${id} HTTP/1.1\r\nhost: a\r\n${id === 49 ? "connection: close\r\n" : ""}\r\n`).join(""),
    );
    const received = await text(socket);
    expect([...received.matchAll(/<(\d+)>/g)].map(([, id]) => Number(id))).toEqual(ids);
    expect(most).toBe(1);
  });
});

describe("a REST server that stops", () => {
  test("closes connections that have no request, and answers the others first", async () => {
    let begun = () => {};
    const running = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const answer: RestRoute["answer"] = async () => {
      begun();
      await sleep(50);
      return plain("done");
    };
    const server = await listen({ routes: [{ method: "GET", path: "v2/slow", answer }] });
    const [host, port] = server.address.split(":");
    const silent = connect(Number(port), host);
    await once(silent, "connect");
    const asked = ask(request, `http://${server.address}/v2/slow`, { agent: new Agent({ keepAlive: true }) });
    await running;
    const stop = new AbortController();
    const stopped = server.run(stop.signal);
    stop.abort();
    await once(silent, "close");
    const { text, response } = await asked;
    expect([text, response.headers.connection]).toEqual(["done", "close"]);
    await stopped;
  });
});

test("bodies that would be more than all may have are refused until those before are there", async () => {
  const { address } = await listen({ maxInFlightBytes: 3000 });
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  const received = text(socket);
  const head = "POST /v2/length HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
  socket.write(`${head}content-length: 2000\r\n\r\n`);
  socket.write(Buffer.alloc(1999));
  const post = () => ask(request, `http://${address}/v2/length`, { method: "POST" }, Buffer.alloc(1500));
  let refused = await post();
  // Until the first one is seen.
  while (refused.status === 200) refused = await post();
  expect(refused).toMatchObject({
    status: 503,
    text: expect.stringContaining("1999 bytes of requests were under way"),
  });
  expect(refused.response.headers["retry-after"]).toBe("1");
  socket.write(Buffer.alloc(1));
  expect(await received).toMatch(/2000$/);
  expect((await post()).status).toBe(200);
});

describe("a body that is too large", () => {
  const refusal = (bytes: string) => `{"error":"A body may have 2000 bytes; this one has ${bytes}."}`;

  test("is refused before the caller that waits for leave sends it", async () => {
    const { address } = await listen();
    const headers = { expect: "100-continue", "content-length": "2001" };
    const answer = await ask(request, `http://${address}/v2/length`, { method: "POST", headers });
    expect(answer).toMatchObject({ status: 413, text: refusal("2001") });
  });

  test("is refused with an answer that is read by a caller who sends all of it first", async () => {
    const { address } = await listen();
    const [host, port] = address.split(":");
    const socket = connect(Number(port), host);
    const received = text(socket);
    socket.write("POST /v2/length HTTP/1.1\r\nhost: a\r\ncontent-length: 30000000\r\n\r\n");
    for (let sent = 0; sent < 30; sent++) {
      if (!socket.write(Buffer.alloc(1_000_000))) await once(socket, "drain");
    }
    expect(await received).toContain(refusal("30000000"));
  });

  test("is refused with an answer that is read by a caller who was given leave to send it", async () => {
    const { address } = await listen({ maxReceiveBytes: 40_000_000 });
    const [host, port] = address.split(":");
    const socket = connect(Number(port), host);
    socket.write("POST /v2/absent HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 30000000\r\n\r\n");
    const [leave] = await once(socket, "data");
    const received = text(socket);
    for (let sent = 0; sent < 30; sent++) {
      if (!socket.write(Buffer.alloc(1_000_000))) await once(socket, "drain");
    }
    expect(`${leave}${await received}`).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 404 /);
  });

  test("is refused when it comes without a length", async () => {
    const { address } = await listen();
    const headers = { "transfer-encoding": "chunked" };
    const post = (bytes: number) =>
      ask(request, `http://${address}/v2/length`, { method: "POST", headers }, Buffer.alloc(bytes));
    expect(await post(2000)).toMatchObject({ status: 200, text: "2000" });
    expect(await post(3000)).toMatchObject({ status: 413, text: refusal("more") });
  });
});

describe("the bytes of bodies on their way", () => {
  const head = "POST /v2/length HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n";
  const slow: RestRoute = {
    method: "GET",
    path: "v2/slow",
    answer: async () => {
      await sleep(200);
      return plain("slow");
    },
  };
  const lengthOf = async (address: string, body: Uint8Array<ArrayBuffer>, headers = {}) => {
    const answer = await fetch(`http://${address}/v2/length`, { method: "POST", body, headers });
    return `${answer.status} ${await answer.text()}`;
  };

  test("are those that have come, and none of a connection that closed while it waited for its turn", async () => {
    const server = await listen({ routes: [...routes, slow], maxInFlightBytes: 2000 });
    const port = Number(server.address.split(":").at(-1));
    for (const first of ["", "GET /v2/slow HTTP/1.1\r\nHost: a\r\n\r\n"]) {
      const sockets = Array.from({ length: 4 }, () => connect(port, "127.0.0.1"));
      for (const socket of sockets) socket.on("error", () => {}).write(`${first}${head}`);
      await sleep(50);
      if (first !== "") {
        for (const socket of sockets) socket.destroy();
        await sleep(400);
      }
      expect(await lengthOf(server.address, new Uint8Array(2000))).toBe("200 2000");
      for (const socket of sockets) socket.destroy();
    }
  });

  test("are those that a compressed body inflates to", async () => {
    const server = await listen({ maxReceiveBytes: 5000, maxInFlightBytes: 4000 });
    const gzip = { "content-encoding": "gzip" };
    expect(await lengthOf(server.address, new Uint8Array(gzipSync(new Uint8Array(3000))), gzip)).toBe("200 3000");
    expect(await lengthOf(server.address, new Uint8Array(gzipSync(new Uint8Array(4900))), gzip)).toMatch(/^503 /);
    expect(await lengthOf(server.address, new Uint8Array(3000))).toBe("200 3000");
  });
});
