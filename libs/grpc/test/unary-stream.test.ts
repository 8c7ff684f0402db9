import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from "node:http2";
import { gzipSync } from "node:zlib";
import { toBinary } from "@bufbuild/protobuf";
import { GRPCInferenceService, ModelReadyRequestSchema } from "@millrace/contracts/inference/grpc_service";
import { afterEach, describe, expect, test } from "vitest";
import { type GrpcServer, implement, startGrpcServer } from "../src/index.ts";
import type { GrpcServerOptions } from "../src/server.ts";

const owned: { close(): void }[] = [];
afterEach(() => {
  for (const each of owned.splice(0).reverse()) each.close();
});

/** A server whose ModelReady tells whether the name is as long as it says, and a bare HTTP/2 connection to it. */
const serve = async (
  options: Partial<GrpcServerOptions> = {},
): Promise<{ server: GrpcServer; session: ClientHttp2Session }> => {
  const handlers = {
    modelReady: async ({ name, version }: { name: string; version: string }) => ({ ready: name.length === +version }),
  };
  const server = await startGrpcServer({ services: [implement(GRPCInferenceService, handlers)], ...options });
  const session = connect(`http://${server.address}`);
  owned.push(server, session);
  return { server, session };
};

const message = (name: string): Buffer =>
  Buffer.from(
    toBinary(ModelReadyRequestSchema, { $typeName: "inference.ModelReadyRequest", name, version: String(name.length) }),
  );

const framed = (bytes: Uint8Array, flag = 0, length = bytes.length): Buffer => {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, bytes]);
};

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly bytes: Buffer;
}

/** Sends parts, each in a frame of its own, and gives what comes back. */
const call = (
  session: ClientHttp2Session,
  parts: readonly Buffer[],
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": "/inference.GRPCInferenceService/ModelReady",
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    let answered: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const received: Buffer[] = [];
    stream.on("response", (got) => {
      answered = got;
    });
    stream.on("trailers", (got) => {
      trailers = got;
    });
    stream.on("data", (bytes: Buffer) => received.push(bytes));
    stream.on("error", reject);
    stream.on("close", () => resolve({ headers: answered, trailers, bytes: Buffer.concat(received) }));
    const send = async () => {
      for (const part of parts) await new Promise((done) => stream.write(part, done));
      stream.end();
    };
    send().catch(reject);
  });

const ready = framed(Buffer.from([0x08, 0x01]));

describe("a unary call on its HTTP/2 stream", () => {
  test("is answered with headers, one message and the status behind it", async () => {
    const { session } = await serve();
    const { headers, trailers, bytes } = await call(session, [framed(message("delay"))]);
    expect(headers[":status"]).toBe(200);
    expect(headers["content-type"]).toBe("application/grpc+proto");
    expect(bytes).toEqual(ready);
    expect(trailers["grpc-status"]).toBe("0");
  });

  test("may come in pieces of any size", async () => {
    const { session } = await serve();
    const whole = framed(message("x".repeat(300)));
    for (const sizes of [[1, 1, 1, 1, 1, 1], [4], [5], [6, 100], [whole.length - 1]]) {
      const parts: Buffer[] = [];
      let at = 0;
      for (const size of sizes) {
        parts.push(whole.subarray(at, at + size));
        at += size;
      }
      parts.push(whole.subarray(at));
      expect((await call(session, parts)).bytes).toEqual(ready);
    }
  });

  test("may be larger than one flow-control window", async () => {
    const { session } = await serve();
    expect((await call(session, [framed(message("x".repeat(5_000_000)))])).bytes).toEqual(ready);
  });

  test("that is compressed is inflated", async () => {
    const { session } = await serve();
    const compressed = framed(gzipSync(message("delay")), 1);
    expect((await call(session, [compressed], { "grpc-encoding": "gzip" })).bytes).toEqual(ready);
  });
});

describe("a unary call that is no gRPC call says what was expected", () => {
  const refused = async (
    parts: readonly Buffer[],
    headers: Readonly<Record<string, string>> = {},
    options: Partial<GrpcServerOptions> = {},
  ) => {
    const { session } = await serve(options);
    const answer = await call(session, parts, headers);
    // The connection is as good as before.
    expect((await call(session, [framed(message("delay"))])).bytes).toEqual(ready);
    const message_ = decodeURI(String(answer.headers["grpc-message"]));
    return { status: Number(answer.headers["grpc-status"]), message: message_ };
  };

  test("no message", async () => {
    expect(await refused([])).toMatchObject({ status: 3 });
  });
  test("a message that ends too soon", async () => {
    expect(await refused([framed(message("delay"), 0, 100)])).toMatchObject({ status: 3 });
    expect(await refused([Buffer.from([0, 0])])).toMatchObject({ status: 3 });
  });
  test("two messages", async () => {
    const one = framed(message("delay"));
    expect(await refused([one, one])).toMatchObject({ status: 12 });
    expect(await refused([Buffer.concat([one, one])])).toMatchObject({ status: 12 });
  });
  test("a compressed message without an encoding", async () => {
    expect(await refused([framed(gzipSync(message("delay")), 1)])).toMatchObject({ status: 3 });
  });
  test("a message that is too large, at its first bytes, with the reason TOO_LARGE", async () => {
    const { session } = await serve({ maxReceiveBytes: 1000 });
    const { headers } = await call(session, [framed(Buffer.alloc(10), 0, 1001)]);
    expect(headers["grpc-status"]).toBe("8");
    expect(decodeURI(String(headers["grpc-message"]))).toBe("A request may have 1000 bytes here; this one has 1001.");
    expect(Buffer.from(String(headers["grpc-status-details-bin"]), "base64").toString("latin1")).toContain("TOO_LARGE");
  });
  test("a deadline that is none", async () => {
    expect(await refused([framed(message("delay"))], { "grpc-timeout": "soon" })).toMatchObject({ status: 3 });
  });
  test("another content type, as HTTP", async () => {
    const { session } = await serve();
    const { headers } = await call(session, [framed(message("delay"))], { "content-type": "application/json" });
    expect(headers[":status"]).toBe(415);
  });
});

describe("a unary call whose deadline passes", () => {
  test("before its message has come is ended", async () => {
    const { session } = await serve();
    const stream = session.request({
      ":method": "POST",
      ":path": "/inference.GRPCInferenceService/ModelReady",
      "content-type": "application/grpc",
      "grpc-timeout": "20m",
    });
    stream.write(framed(message("delay")).subarray(0, 3));
    const headers = await new Promise<IncomingHttpHeaders>((resolve) => stream.on("response", resolve));
    expect(headers["grpc-status"]).toBe("4");
    stream.close(constants.NGHTTP2_CANCEL);
  });

  test("in more time than a timer takes is answered", async () => {
    const { session } = await serve();
    expect((await call(session, [framed(message("delay"))], { "grpc-timeout": "99999999H" })).bytes).toEqual(ready);
  });
});
