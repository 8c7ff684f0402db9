import { setTimeout as sleep } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, type Metadata, status } from "@grpc/grpc-js";
import {
  GRPCInferenceService,
  ModelInferRequestSchema,
  ModelStreamInferResponseSchema,
} from "@millrace/contracts/inference/grpc_service";
import { describe, expect, onTestFinished, test } from "vitest";
import { type CallContext, implement, rawPipelined, startGrpcServer } from "../src/index.ts";

const path = "/inference.GRPCInferenceService/ModelStreamInfer";

const encode = (id: string, bytes = 0): Buffer =>
  Buffer.from(
    toBinary(
      ModelInferRequestSchema,
      create(ModelInferRequestSchema, { id, rawInputContents: [new Uint8Array(bytes)] }),
    ),
  );
const answerTo = (request: Uint8Array, bytes = 0): Uint8Array => {
  const { id } = fromBinary(ModelInferRequestSchema, request);
  const inferResponse = { id, rawOutputContents: [new Uint8Array(bytes)] };
  return toBinary(ModelStreamInferResponseSchema, create(ModelStreamInferResponseSchema, { inferResponse }));
};
const idOf = (answer: Buffer): string => fromBinary(ModelStreamInferResponseSchema, answer).inferResponse?.id ?? "";
const identity = (bytes: Buffer): Buffer => bytes;

/** Serves the answers, and opens a stream to them with grpc-js's own client. */
const open = async (
  answer: (request: Uint8Array, call: CallContext) => Promise<Uint8Array>,
  options: { compressed?: boolean; deadline?: number; maxReceiveBytes?: number } = {},
) => {
  const { maxReceiveBytes } = options;
  const service = implement(GRPCInferenceService, { modelStreamInfer: rawPipelined(answer) });
  const server = await startGrpcServer({ services: [service], ...(maxReceiveBytes && { maxReceiveBytes }) });
  onTestFinished(() => server.close());
  // Compression with grpc-js: 2 is gzip.
  const channel = options.compressed === true ? { "grpc.default_compression_algorithm": 2 } : {};
  const client = new Client(server.address, credentials.createInsecure(), channel);
  onTestFinished(() => client.close());
  const { deadline } = options;
  const call = client.makeBidiStreamRequest(path, identity, identity, deadline === undefined ? {} : { deadline });
  const ids: string[] = [];
  call.on("data", (bytes: Buffer) => ids.push(idOf(bytes)));
  const ended = new Promise<{ code: number; details: string; metadata: Metadata }>((resolve) => {
    call.on("status", resolve);
  });
  call.on("error", () => {});
  return { server, call, ids, ended };
};

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));

describe.each([{ compressed: false }, { compressed: true }])("a pipelined stream (compressed: $compressed)", (mode) => {
  test("answers in the order of the requests, whichever is ready first", async () => {
    const { call, ids, ended } = await open(async (bytes) => {
      await sleep(Math.random() * 5);
      return answerTo(bytes);
    }, mode);
    for (const name of names(500)) call.write(encode(name));
    call.end();
    expect((await ended).code).toBe(status.OK);
    expect(ids).toEqual(names(500));
  });

  test("takes requests and gives answers of many frames", async () => {
    const { call, ids, ended } = await open(async (bytes) => answerTo(bytes, 300_000), mode);
    for (const name of names(30)) call.write(encode(name, 200_000));
    call.end();
    expect((await ended).code).toBe(status.OK);
    expect(ids).toEqual(names(30));
  });

  test("ends with the error of an answer, after the answers before it", async () => {
    const { call, ids, ended } = await open(async (bytes) => {
      const { id } = fromBinary(ModelInferRequestSchema, bytes);
      if (id === "3") throw new RangeError("a driver's own words");
      await sleep(10);
      return answerTo(bytes);
    }, mode);
    for (const name of names(6)) call.write(encode(name));
    const { code, details } = await ended;
    expect(code).toBe(status.INTERNAL);
    expect(details).not.toContain("driver");
    expect(ids).toEqual(names(3));
  });

  test("ends with UNAVAILABLE when the server drains, after what it took", async () => {
    let begun = 0;
    const { server, call, ids, ended } = await open(async (bytes) => {
      begun++;
      await sleep(100);
      return answerTo(bytes);
    }, mode);
    call.write(encode("0"));
    call.write(encode("1"));
    while (begun < 2) await sleep(5);
    const drained = server.drain({ limitMs: 2000 });
    expect((await ended).code).toBe(status.UNAVAILABLE);
    expect(ids).toEqual(["0", "1"]);
    call.end();
    expect(await drained).toBe(true);
  });

  test("tells its answers when the caller gives up", async () => {
    let aborted = 0;
    const { call, ended } = await open((_bytes, { cancellation, signal }) => {
      return new Promise((_resolve, reject) => {
        cancellation.addEventListener("abort", () => {
          if (signal.aborted) aborted++;
          reject(signal.reason);
        });
        setTimeout(() => call.cancel(), 10);
      });
    }, mode);
    call.write(encode("0"));
    await ended;
    for (let wait = 0; wait < 100 && aborted === 0; wait++) await sleep(10);
    expect(aborted).toBe(1);
  });

  test("ends at its deadline", async () => {
    const { call, ids, ended } = await open((bytes) => sleep(2000).then(() => answerTo(bytes)), {
      ...mode,
      deadline: Date.now() + 50,
    });
    call.write(encode("0"));
    expect((await ended).code).toBe(status.DEADLINE_EXCEEDED);
    expect(ids).toEqual([]);
  });

  test("begins no more than a bounded number of requests of a caller that does not read", async () => {
    let begun = 0;
    const { call, ended } = await open(async (bytes) => {
      begun++;
      return answerTo(bytes, 1024 * 1024);
    }, mode);
    call.pause();
    for (const name of names(400)) call.write(encode(name));
    call.end();
    let before = -1;
    while (before !== begun) {
      before = begun;
      await sleep(200);
    }
    expect(begun).toBeLessThan(100);
    call.resume();
    expect((await ended).code).toBe(status.OK);
    expect(begun).toBe(400);
  });

  test("refuses a request that is too large, after the answers before it", async () => {
    const { call, ids, ended } = await open(async (bytes) => answerTo(bytes), { ...mode, maxReceiveBytes: 10_000 });
    call.write(encode("0"));
    await sleep(50);
    // Random bytes do not shrink.
    const large = create(ModelInferRequestSchema, {
      rawInputContents: [crypto.getRandomValues(new Uint8Array(20_000))],
    });
    call.write(Buffer.from(toBinary(ModelInferRequestSchema, large)));
    expect((await ended).code).toBe(status.RESOURCE_EXHAUSTED);
    expect(ids).toEqual(["0"]);
  });
});
