import { once } from "node:events";
import { createServer } from "node:http2";
import { gzipSync } from "node:zlib";
import { credentials, Client as GrpcClient, Metadata } from "@grpc/grpc-js";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import { describe, expect, onTestFinished, test } from "vitest";
import { type CallFailure, createClient, implement, openChannel, startGrpcServer } from "../src/index.ts";
import { serveForTest } from "./serve-for-test.ts";

/** A server whose connections break when they have sent an answer's headers, and a channel to it. */
const dyingInAnswers = async () => {
  let calls = 0;
  const server = createServer();
  server.on("stream", (stream) => {
    calls += 1;
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.write(Buffer.alloc(5), () => setImmediate(() => stream.session?.destroy()));
  });
  server.on("sessionError", () => {});
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  const channel = openChannel(`127.0.0.1:${address.port}`);
  onTestFinished(() => channel.close());
  return { channel, calls: () => calls };
};

describe("a request that breaks its contract", () => {
  test("is refused before the handler with every violation, each with field, expected and got", async () => {
    let asked = 0;
    const server = await startGrpcServer({
      services: [
        implement(FeatureService, {
          push: async () => {
            asked += 1;
            return {};
          },
        }),
      ],
    });
    onTestFinished(() => server.close());
    const channel = openChannel(server.address);
    onTestFinished(() => channel.close());
    const error = await createClient(FeatureService, channel)
      .push({})
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "FIELD_INVALID",
      violations: [
        { field: "source", expected: "must be at least 1 characters", got: "an empty text" },
        { field: "columns", got: "0 entries" },
      ],
    });
    expect(asked).toBe(0);
  });

  test("and one that is no protobuf at all are INVALID_ARGUMENT", async () => {
    const { server } = await serveForTest({ modelReady: async () => ({ ready: true }) });
    await expect(rawCall(server.address, "ModelReady", Buffer.from([255, 255, 255, 255]))).rejects.toMatchObject({
      code: 3,
      details: expect.stringContaining("The request is no inference.ModelReadyRequest"),
    });
  });

  test("by its size is RESOURCE_EXHAUSTED, also when it is small only while compressed", async () => {
    const { server, client } = await serveForTest(
      { modelReady: async () => ({ ready: true }) },
      { maxReceiveBytes: 10_000 },
    );
    expect((await client.modelReady({ name: "x".repeat(9_000) })).ready).toBe(true);
    await expect(client.modelReady({ name: "x".repeat(20_000) })).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    const bomb = gzipSync(Buffer.alloc(10_000_000));
    expect(bomb.length).toBeLessThan(10_000);
    await expect(
      rawCall(server.address, "ModelReady", Buffer.alloc(10_000_000), { "grpc.default_compression_algorithm": 2 }),
    ).rejects.toMatchObject({ code: 8 });
  });
});

describe("a call that fails by a defect", () => {
  test("tells the caller the trace id alone, and is reported once with its cause", async () => {
    const failures: CallFailure[] = [];
    const defect = new TypeError("a driver's own words");
    const { client } = await serveForTest(
      {
        modelReady: async () => {
          throw defect;
        },
      },
      { onFailure: (failure) => failures.push(failure) },
    );
    const error = await client.modelReady({}).catch((thrown: Error) => thrown);
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({
      error: defect,
      code: "INTERNAL",
      method: "inference.GRPCInferenceService/ModelReady",
    });
    expect(error).toMatchObject({ code: "INTERNAL", metadata: { traceId: failures[0]?.traceId } });
    expect(String(error)).not.toContain("driver");
  });
});

describe("the observer of a server", () => {
  test("is told of the beginning and the end of each call, with method, type and status", async () => {
    const seen: string[] = [];
    const { client } = await serveForTest(
      {
        modelReady: async ({ name }, call) => {
          call.setTrailer("x-cost", "1");
          if (name === "") {
            throw new MillraceError("NOT_FOUND", Reason.MODEL_UNKNOWN, "No model.");
          }
          return {};
        },
        modelStreamInfer: async function* () {
          yield {};
        },
      },
      {
        observer: {
          started: (method, call) => seen.push(`${method.type} ${call.method}`),
          handled: (method, _call, code, seconds) =>
            seen.push(`${method.name} ${code} ${seconds >= 0 && seconds < 60}`),
        },
      },
    );
    await client.modelReady({ name: "a" });
    await client.modelReady({}).catch(() => {});
    for await (const _answer of client.modelStreamInfer(nothing())) {
      // Only the end matters here.
    }
    expect(seen).toEqual([
      "unary inference.GRPCInferenceService/ModelReady",
      "ModelReady OK true",
      "unary inference.GRPCInferenceService/ModelReady",
      "ModelReady NOT_FOUND true",
      "bidi_stream inference.GRPCInferenceService/ModelStreamInfer",
      "ModelStreamInfer OK true",
    ]);
  });
});

describe("a call that the service could not take", () => {
  const flaky = async (failures: number) => {
    let calls = 0;
    const refuse = () => {
      calls += 1;
      if (calls <= failures) {
        throw new MillraceError("UNAVAILABLE", Reason.STORE_UNAVAILABLE, "The store is away.");
      }
    };
    const server = await startGrpcServer({
      services: [
        implement(FeatureService, {
          getRepository: async () => {
            refuse();
            return {};
          },
          push: async () => {
            refuse();
            return {};
          },
        }),
      ],
    });
    onTestFinished(() => server.close());
    const channel = openChannel(server.address);
    onTestFinished(() => channel.close());
    return { channel, calls: () => calls };
  };
  const push = {
    source: "s",
    columns: [{ name: "c", values: { values: { case: "bools" as const, value: { values: [true] } } } }],
  };

  test("is made again where the contract says that it has no side effects", async () => {
    const { channel, calls } = await flaky(2);
    await createClient(FeatureService, channel).getRepository({});
    expect(calls()).toBe(3);
  });

  test("is made three times at most", async () => {
    const { channel, calls } = await flaky(10);
    const call = createClient(FeatureService, channel).getRepository({});
    await expect(call).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "STORE_UNAVAILABLE" });
    expect(calls()).toBe(3);
  });

  test("is made once where it could change something, unless the client names it", async () => {
    const once = await flaky(1);
    const call = createClient(FeatureService, once.channel).push(push);
    await expect(call).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(once.calls()).toBe(1);
    const again = await flaky(1);
    await createClient(FeatureService, again.channel, { retry: ["push"] }).push(push);
    expect(again.calls()).toBe(2);
  });

  test("is made again where the server dies after the answer has begun", async () => {
    const { channel, calls } = await dyingInAnswers();
    const call = createClient(FeatureService, channel).getRepository({}, { timeoutMs: 5000 });
    await expect(call).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(calls()).toBe(3);
    const changing = createClient(FeatureService, channel).push(push, { timeoutMs: 5000 });
    await expect(changing).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(calls()).toBe(4);
  });

  test("waits for the server where it is asked to", async () => {
    const first = await serveForTest({});
    const { port } = first.server;
    await first.server.drain({ limitMs: 1000 });
    const channel = openChannel(`127.0.0.1:${port}`);
    onTestFinished(() => channel.close());
    const client = createClient(GRPCInferenceService, channel);
    await expect(client.serverLive({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(channel.waitForReady(50)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const waiting = client.modelReady({}, { waitForReady: true, timeoutMs: 20_000 });
    await serveForTest({ modelReady: async () => ({ ready: true }) }, { port });
    expect((await waiting).ready).toBe(true);
  });
});

const rawCall = (address: string, method: string, request: Buffer, options = {}): Promise<Buffer | undefined> => {
  const client = new GrpcClient(address, credentials.createInsecure(), options);
  onTestFinished(() => client.close());
  const same = (bytes: Buffer) => bytes;
  return new Promise((resolve, reject) => {
    const path = `/inference.GRPCInferenceService/${method}`;
    client.makeUnaryRequest(
      path,
      same,
      same,
      request,
      new Metadata(),
      { deadline: Date.now() + 5000 },
      (error, answer) => (error === null ? resolve(answer) : reject(error)),
    );
  });
};

const nothing = async function* () {};
