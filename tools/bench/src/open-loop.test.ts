import { Server, ServerCredentials, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { openLoad, quantile } from "./open-loop.ts";

const path = "/test.Test/Unary";
const same = (bytes: Buffer): Buffer => bytes;
let server: Server | undefined;
afterEach(() => server?.forceShutdown());

type Respond = (error: { code: status; details: string } | null, answer?: Buffer) => void;

/** Serves one method. @returns its address. */
const serve = (handle: (respond: Respond) => void): Promise<string> => {
  server = new Server();
  const definition = {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { Unary: definition },
    { Unary: (_call: ServerUnaryCall<Buffer, Buffer>, respond: Respond) => handle(respond) },
  );
  return new Promise((resolve, reject) => {
    server?.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(`127.0.0.1:${port}`) : reject(error),
    );
  });
};
const load = { path, request: Buffer.from("ask"), perSecond: 200, seconds: 0.1, deadlineMs: 10_000 };

describe("a load at a fixed rate", () => {
  test("begins each call, whether earlier ones have ended or not", async () => {
    const waiting: Respond[] = [];
    const address = await serve((respond) => {
      waiting.push(respond);
      // No call is answered before the last has come.
      if (waiting.length === 20) for (const answer of waiting) answer(null, Buffer.from("answer"));
    });
    const { offered, answered, refused, latenciesMs } = await openLoad({ ...load, address });
    expect({ offered, answered, refused: [...refused] }).toEqual({ offered: 20, answered: 20, refused: [] });
    expect(latenciesMs).toEqual([...latenciesMs].sort((a, b) => a - b));
  });

  test("counts by their status the calls that are not answered in time", async () => {
    let calls = 0;
    const address = await serve((respond) => {
      calls++;
      if (calls % 2 === 0) respond({ code: status.RESOURCE_EXHAUSTED, details: "full" });
    });
    const { answered, refused } = await openLoad({ ...load, address, deadlineMs: 300 });
    expect({ answered, refused: Object.fromEntries(refused) }).toEqual({
      answered: 0,
      refused: { RESOURCE_EXHAUSTED: 10, DEADLINE_EXCEEDED: 10 },
    });
  });

  test("tells what a server said that failed by itself", async () => {
    const address = await serve((respond) => respond({ code: status.INTERNAL, details: "broken" }));
    const { refused } = await openLoad({ ...load, address });
    expect([...refused]).toEqual([["INTERNAL (broken)", 20]]);
  });
});

test("a quantile is the value below which its share lies", () => {
  const values = Array.from({ length: 100 }, (_, index) => index);
  expect([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1), quantile([], 0.5)]).toEqual([
    50,
    99,
    99,
    Number.NaN,
  ]);
});
