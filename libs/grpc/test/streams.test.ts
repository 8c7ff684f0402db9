import { setTimeout as sleep } from "node:timers/promises";
import { GRPCInferenceService, ModelInferRequestSchema } from "@millrace/contracts/inference/grpc_service";
import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  createClient,
  EncodedMessage,
  implement,
  openChannel,
  rawPipelined,
  rawUnary,
  startGrpcServer,
} from "../src/index.ts";
import { serveForTest } from "./serve-for-test.ts";

describe("a bidirectional stream", () => {
  test("holds the sender back while the handler is slow", async () => {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { client } = await serveForTest(
      {
        modelStreamInfer: async function* (requests) {
          await released;
          for await (const { id } of requests) {
            yield { inferResponse: { id } };
          }
        },
      },
      { flowControlWindowBytes: 65_536 },
    );
    let sent = 0;
    const total = 400;
    const requests = async function* () {
      for (; sent < total; sent += 1) {
        yield { id: String(sent), rawInputContents: [new Uint8Array(20_000)] };
      }
    };
    const answers = client.modelStreamInfer(requests());
    const first = answers[Symbol.asyncIterator]().next();
    let before = -1;
    while (before !== sent) {
      before = sent;
      await sleep(100);
    }
    expect(sent).toBeLessThan(total);
    release();
    expect((await first).value?.inferResponse?.id).toBe("0");
    let last = "";
    for await (const answer of answers) {
      last = answer.inferResponse?.id ?? "";
    }
    expect(last).toBe(String(total - 1));
  });

  test("ends with the error of its handler, after the answers before it", async () => {
    const { client } = await serveForTest({
      modelStreamInfer: async function* () {
        yield { errorMessage: "one" };
        throw new RangeError("a driver's own words");
      },
    });
    const seen: string[] = [];
    const read = async () => {
      for await (const { errorMessage } of client.modelStreamInfer(none())) {
        seen.push(errorMessage);
      }
    };
    await expect(read()).rejects.toMatchObject({ code: "INTERNAL", reason: "INTERNAL" });
    expect(seen).toEqual(["one"]);
  });

  test("ends with the error of the requests, and the server sees a cancelled call", async () => {
    let reason: unknown;
    let settled: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      settled = resolve;
    });
    const { client } = await serveForTest({
      modelStreamInfer: async function* (requests) {
        try {
          for await (const { id } of requests) {
            yield { inferResponse: { id } };
          }
        } catch (error) {
          reason = error;
        }
        settled();
      },
    });
    let answered: () => void = () => {};
    const firstAnswer = new Promise<void>((resolve) => {
      answered = resolve;
    });
    const requests = async function* () {
      yield { id: "a" };
      await firstAnswer;
      throw new RangeError("the source broke");
    };
    const read = async () => {
      for await (const _answer of client.modelStreamInfer(requests())) {
        answered();
      }
    };
    await expect(read()).rejects.toThrow("the source broke");
    await ended;
    expect(reason).toMatchObject({ code: "CANCELLED" });
  });

  test("refuses a request that breaks its contract, by name", async () => {
    const server = await startGrpcServer({
      services: [
        implement(FeatureService, {
          streamFeatures: async function* (requests) {
            for await (const { id } of requests) {
              yield { id };
            }
          },
        }),
      ],
    });
    onTestFinished(() => server.close());
    const channel = openChannel(server.address);
    onTestFinished(() => channel.close());
    const read = async () => {
      for await (const _answer of createClient(FeatureService, channel).streamFeatures(one({}))) {
        // Only the end matters here.
      }
    };
    await expect(read()).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "FIELD_INVALID",
      violations: [{ field: "request", got: "nothing" }],
    });
  });
});

describe("a raw handler", () => {
  test("gets the bytes of the request and sends the bytes of its answer", async () => {
    const { client } = await serveForTest({
      // The two messages have name and version as fields 1 and 2 both.
      modelReady: rawUnary(async (bytes) => {
        expect(bytes.constructor).toBe(Uint8Array);
        expect([...bytes]).toEqual([10, 1, 97]);
        return new Uint8Array([8, 1]);
      }),
      modelStreamInfer: rawPipelined(async (bytes) => new Uint8Array([10, bytes.length, ...bytes])),
    });
    expect((await client.modelReady({ name: "a" })).ready).toBe(true);
    const answers = [];
    for await (const { errorMessage } of client.modelStreamInfer(one({ modelName: "b" }))) {
      answers.push(errorMessage);
    }
    expect(answers).toEqual(["\n\u0001b"]);
  });

  test("may be half so: the request is decoded, and the answer is encoded by the handler", async () => {
    const { client } = await serveForTest({
      modelReady: async ({ name }) => new EncodedMessage(new Uint8Array([8, name.length])),
      modelStreamInfer: async function* (requests) {
        for await (const { modelName } of requests)
          yield new EncodedMessage(new TextEncoder().encode(`\n\u0001${modelName}`));
      },
    });
    expect((await client.modelReady({ name: "a" })).ready).toBe(true);
    const answers = [];
    for await (const { errorMessage } of client.modelStreamInfer(one({ modelName: "b" }))) answers.push(errorMessage);
    expect(answers).toEqual(["b"]);
  });

  test("may be served beside others, and an unknown method name is refused at start", () => {
    expect(() => implement(GRPCInferenceService, JSON.parse('{"modelRaedy": 1}'))).toThrow(/has no method modelRaedy/);
    expect(ModelInferRequestSchema.typeName).toBe("inference.ModelInferRequest");
  });
});

const none = async function* () {};

const one = async function* <T>(value: T) {
  yield value;
};
