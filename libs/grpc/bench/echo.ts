/**
 * What the typed layer costs: unary echoes of one small ModelInferRequest, 32 in flight, against a raw grpc-js echo of
 * the same bytes. The servers are one child process each and the caller is raw for all, so only the server differs; the
 * last row adds the typed client. Rounds alternate, and a figure is the median of the rounds. The CPU time that a server
 * spends on a call bears a busy machine better than calls a second do.
 *
 * Run: `node bench/echo.ts`.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { create, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, Server, ServerCredentials } from "@grpc/grpc-js";
import { GRPCInferenceService, ModelInferRequestSchema } from "@millrace/contracts/inference/grpc_service";
import { createClient, implement, openChannel, rawUnary, startGrpcServer } from "../src/index.ts";

const kinds = ["grpc-js echo", "raw handler", "typed handler"] as const;
type Kind = (typeof kinds)[number];
const path = "/inference.GRPCInferenceService/ModelInfer";
const same = (bytes: Buffer): Buffer => bytes;

const serve = async (kind: Kind): Promise<number> => {
  if (kind === "grpc-js echo") {
    const server = new Server({ "grpc.enable_channelz": 0 });
    server.register<Buffer, Buffer>(
      path,
      (call: { request: Buffer }, respond: (error: null, answer: Buffer) => void) => respond(null, call.request),
      same,
      same,
      "unary",
    );
    return new Promise((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  }
  const raw = rawUnary(async (bytes) => bytes);
  const modelInfer =
    kind === "raw handler"
      ? raw
      : async ({
          modelName,
          id,
          rawInputContents,
        }: {
          modelName: string;
          id: string;
          rawInputContents: Uint8Array[];
        }) => ({
          modelName,
          id,
          rawOutputContents: rawInputContents,
        });
  return (await startGrpcServer({ services: [implement(GRPCInferenceService, { modelInfer })] })).port;
};

// V8 compiles the hot path within the first seconds.
const warmUpRounds = 3;

const request = create(ModelInferRequestSchema, {
  modelName: "echo",
  id: "1",
  inputs: [{ name: "x", datatype: "FP32", shape: [1n, 32n] }],
  rawInputContents: [new Uint8Array(128)],
});

/** Calls a second, 32 in flight for so long. */
const rate = async (
  call: () => Promise<unknown>,
  durationMs: number,
): Promise<{ calls: number; perSecond: number }> => {
  const begin = performance.now();
  let calls = 0;
  const one = async () => {
    while (performance.now() - begin < durationMs) {
      await call();
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: 32 }, one));
  return { calls, perSecond: (calls / (performance.now() - begin)) * 1000 };
};

const cpuMicroseconds = async (server: ChildProcess | undefined): Promise<number> => {
  if (server === undefined) {
    return Number.NaN;
  }
  server.send("cpu");
  const [used] = await once(server, "message");
  return used;
};

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const measure = async (): Promise<void> => {
  const children: ChildProcess[] = [];
  const calls = new Map<string, () => Promise<unknown>>();
  const servers = new Map<string, ChildProcess>();
  const bytes = Buffer.from(toBinary(ModelInferRequestSchema, request));
  let typedPort = 0;
  for (const kind of kinds) {
    const child = fork(import.meta.filename, [kind]);
    children.push(child);
    servers.set(kind, child);
    const [port] = await once(child, "message");
    typedPort = port;
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.enable_channelz": 0 });
    calls.set(
      kind,
      () =>
        new Promise((resolve, reject) => {
          const options = { deadline: Date.now() + 10_000 };
          client.makeUnaryRequest(path, same, same, bytes, new Metadata(), options, (error, answer) =>
            error === null ? resolve(answer) : reject(error),
          );
        }),
    );
  }
  const channel = openChannel(`127.0.0.1:${typedPort}`, { ownConnection: true });
  const typed = createClient(GRPCInferenceService, channel);
  const both = "typed handler, typed client";
  calls.set(both, () => typed.modelInfer(request));
  const rates = new Map<string, number[]>();
  const costs = new Map<string, number[]>();
  for (let round = 0; round < 10; round += 1) {
    for (const [kind, call] of calls) {
      const server = servers.get(kind === both ? kinds[2] : kind);
      const before = await cpuMicroseconds(server);
      const measured = await rate(call, 1000);
      const cost = ((await cpuMicroseconds(server)) - before) / measured.calls;
      if (round >= warmUpRounds) {
        rates.set(kind, [...(rates.get(kind) ?? []), measured.perSecond]);
        costs.set(kind, [...(costs.get(kind) ?? []), cost]);
      }
    }
  }
  const ceiling = rates.get(kinds[0]) ?? [];
  const least = costs.get(kinds[0]) ?? [];
  for (const [kind, values] of rates) {
    const own = costs.get(kind) ?? [];
    const rateRatio = median(values.map((value, round) => value / (ceiling[round] ?? Number.NaN)));
    const costRatio = median(own.map((value, round) => value / (least[round] ?? Number.NaN)));
    console.log(
      `${kind.padEnd(28)} ${median(values).toFixed(0).padStart(6)} calls/s (${rateRatio.toFixed(2)} of the echo), ` +
        `${median(own).toFixed(0).padStart(4)} µs of the server's CPU a call (${costRatio.toFixed(2)} of the echo)`,
    );
  }
  channel.close();
  for (const child of children) {
    child.kill();
  }
  process.exit(0);
};

const kind = kinds.find((each) => each === process.argv[2]);
if (kind === undefined) {
  await measure();
} else {
  process.send?.(await serve(kind));
  process.on("SIGTERM", () => process.exit(0));
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
}
