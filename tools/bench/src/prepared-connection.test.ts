import { Server, ServerCredentials, type ServerDuplexStream, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { enveloped, PreparedConnection } from "./prepared-connection.ts";

const same = (bytes: Buffer): Buffer => bytes;
const definition = (path: string, stream: boolean) => ({
  path,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
type Respond = (error: { code: status; details: string } | null, answer?: Buffer) => void;
type Handle = (request: Buffer, respond: Respond) => void;

let server: Server | undefined;
let connection: PreparedConnection | undefined;
afterEach(() => {
  connection?.close();
  server?.forceShutdown();
});

/** Serves a unary method and a stream that answers each of its messages. */
const connectTo = async (handle: Handle): Promise<PreparedConnection> => {
  const started = new Server({ "grpc.max_receive_message_length": 64 * 1024 * 1024 });
  server = started;
  started.addService(
    { Unary: definition("/test.Test/Unary", false), Stream: definition("/test.Test/Stream", true) },
    {
      Unary: (call: ServerUnaryCall<Buffer, Buffer>, respond: Respond) => handle(call.request, respond),
      Stream: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on("data", (request: Buffer) => handle(request, (_error, answer = Buffer.alloc(0)) => call.write(answer)));
        call.on("end", () => call.end());
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    started.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  connection = await PreparedConnection.open(`127.0.0.1:${port}`);
  return connection;
};

const unary = (to: PreparedConnection, request: Buffer): Promise<{ ok: boolean; answers: Buffer[] }> =>
  new Promise((resolve) => {
    const answers: Buffer[] = [];
    to.unary(to.method("/test.Test/Unary"), enveloped(request), {
      onMessage: (answer) => answers.push(Buffer.from(answer)),
      onEnd: (ok) => resolve({ ok, answers }),
    });
  });

const echo: Handle = (request, respond) => respond(null, request);
const bytes = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, (_, index) => index * 7));

describe("a unary call with prepared bytes", () => {
  test.for([0, 3, 16_384, 70_000, 3_000_000])("carries %i bytes there and back", async (length) => {
    const { ok, answers } = await unary(await connectTo(echo), bytes(length));
    expect(ok).toBe(true);
    expect(answers.map((answer) => answer.equals(bytes(length)))).toEqual([true]);
  });

  test("keeps to the windows that many large calls share", async () => {
    const to = await connectTo(echo);
    const answers = await Promise.all(Array.from({ length: 40 }, () => unary(to, bytes(100_000))));
    expect(answers.every(({ ok, answers: [answer] }) => ok && answer?.equals(bytes(100_000)))).toBe(true);
  });

  test("fails where the server answers with another status, before a message or behind one", async () => {
    const to = await connectTo((request, respond) => {
      if (request.toString() === "fail") respond({ code: status.RESOURCE_EXHAUSTED, details: "full" });
      else respond(null, request);
    });
    expect(await unary(to, Buffer.from("fail"))).toEqual({ ok: false, answers: [] });
    expect((await unary(to, Buffer.from("else"))).ok).toBe(true);
  });

  test("fails where the connection is lost", async () => {
    const to = await connectTo(() => server?.forceShutdown());
    expect((await unary(to, bytes(3))).ok).toBe(false);
  });
});

test("a stream answers each message in order, and ends well", async () => {
  const to = await connectTo(echo);
  const sizes = [1, 0, 40_000, 5, 200_000];
  const answers: number[] = [];
  const ok = await new Promise<boolean>((resolve) => {
    const stream = to.stream(to.method("/test.Test/Stream"), {
      onMessage: (answer) => {
        answers.push(answer.byteLength);
        if (answers.length === sizes.length) stream.end();
      },
      onEnd: resolve,
    });
    for (const size of sizes) stream.send(enveloped(bytes(size)));
  });
  expect({ ok, answers }).toEqual({ ok: true, answers: sizes });
});
