import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { someInferRequest } from "./fuzz/infer-cases.ts";
import { type Random, randomOf } from "./fuzz/random.ts";
import { RawGrpc } from "./fuzz/raw-grpc.ts";
import { someRestCase } from "./fuzz/rest-cases.ts";
import { identityModel } from "./models.ts";
import { residentBytes } from "./resident-bytes.ts";
import { restAsk } from "./rest-ask.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats } from "./tensors.ts";

/*
 * Nonsense over every way in: requests that mostly mean something, with bytes of them changed. Whatever comes, the caller
 * is answered in time and told what is wrong; nothing is a defect, nothing is kept.
 */

const cases = Number(process.env.MILLRACE_FUZZ_CASES ?? 2000);
const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
const limitMs = 10_000;
const atOnce = 16;

const folder = mkdtempSync(join(tmpdir(), "millrace-fuzz-"));
let service: RunningInference;

beforeAll(async () => {
  for (const datatype of ["FP32", "INT64", "BYTES", "FP16", "BOOL"] as const) {
    writeFileSync(join(folder, `identity-${datatype}.onnx`), identityModel(datatype));
  }
  service = await startInference(["--models", folder, "--max-receive-bytes", "1000000", "--system-shared-memory"]);
}, 60_000);

afterAll(async () => {
  expect(await service.stop()).toBe(0);
  rmSync(folder, { recursive: true });
});

const mebibyte = 1024 * 1024;

/**
 * Runs cases, some at once, each by a seed of its own.
 * @throws naming the seed of the case that failed: with it as MILLRACE_SEED, it is the first one.
 */
const runCases = async (count: number, first: number, run: (random: Random) => Promise<void>): Promise<void> => {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const own = first + next++;
      try {
        await run(randomOf(own));
      } catch (cause) {
        throw new Error(`The case of MILLRACE_SEED=${own} failed.`, { cause });
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
};

/** Runs cases and holds that the service is as it was: it answers rightly, logged no defect and kept no memory. */
const holds = async (count: number, run: (random: Random) => Promise<void>): Promise<void> => {
  // The first ones grow what is kept on purpose: buffers of workers, compiled code.
  const warmUp = Math.ceil(count / 4);
  await runCases(warmUp, seed, run);
  const before = residentBytes(service);
  await runCases(count - warmUp, seed + warmUp, run);
  expect(residentBytes(service) - before).toBeLessThan(100 * mebibyte);
  expect(service.log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  expect(floats(await service.oip.modelInfer(floatRequest("identity-FP32", [1, 2], [1, 2])))).toEqual([1, 2]);
};

/** OK, INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, UNIMPLEMENTED. */
const fairStatuses = [0, 3, 5, 8, 12];

describe(`nonsense (MILLRACE_SEED=${seed})`, () => {
  test("over gRPC is answered with what is wrong", async () => {
    const grpc = new RawGrpc(service.address);
    const seen = new Map<number, number>();
    await holds(cases, async (random) => {
      const { status } = await grpc.call("ModelInfer", [someInferRequest(random)], limitMs);
      expect(fairStatuses).toContain(status);
      seen.set(status, (seen.get(status) ?? 0) + 1);
    });
    grpc.close();
    // Both sides of the door were tried.
    expect(seen.get(0)).toBeGreaterThan(cases / 20);
    expect(seen.get(3)).toBeGreaterThan(cases / 20);
  }, 600_000);

  test("on a stream is answered message by message, and the stream stays open", async () => {
    const grpc = new RawGrpc(service.address);
    await holds(Math.ceil(cases / 20), async (random) => {
      const requests = Array.from({ length: 1 + random.below(20) }, () => someInferRequest(random));
      const { status, answers } = await grpc.call("ModelStreamInfer", requests, limitMs);
      expect(status).toBe(0);
      expect(answers.length).toBe(requests.length);
    });
    grpc.close();
  }, 600_000);

  test("over REST is answered with what is wrong", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: atOnce });
    const seen = new Map<number, number>();
    await holds(cases, async (random) => {
      const { path, body, headers } = someRestCase(random);
      const reply = await restAsk(`${service.restUrl}/v2/${path}`, body, headers, { agent, timeout: limitMs });
      expect([200, 400, 404, 413, 501], `${path} ${reply.text}`).toContain(reply.status);
      if (reply.status !== 200) expect(reply.json).toEqual({ error: expect.stringMatching(/./) });
      seen.set(reply.status, (seen.get(reply.status) ?? 0) + 1);
    });
    agent.destroy();
    expect(seen.get(200)).toBeGreaterThan(cases / 20);
    expect(seen.get(400)).toBeGreaterThan(cases / 20);
  }, 600_000);
});
