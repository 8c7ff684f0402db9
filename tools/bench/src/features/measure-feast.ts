import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { freePort, startRedis } from "@millrace/backing";
import { GrpcFeatureServer } from "@millrace/contracts/feast/grpc_server";
import { GetOnlineFeaturesRequestSchema } from "@millrace/contracts/feast/serving/ServingService";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { createClient, openChannel } from "@millrace/grpc";
import { type LoadResult, unaryLoad } from "../load-generator.ts";
import { pythonEnvironment } from "../peers/python-environment.ts";
import { type Measured, median } from "../record.ts";
import { type ServerProcess, startProcess } from "../server-process.ts";
import { disturbance, type Turn, undisturbed } from "../undisturbed.ts";
import { startFeatureServer } from "./feature-server.ts";
import { deviceRequest, entities, featuresOfView, profileRepository, pushProfiles, views } from "./profile-views.ts";

const requirements = ["feast[redis,grpcio]==0.67.0"];
const feastPath = "/GrpcFeatureServer/GetOnlineFeatures";

interface Target {
  readonly name: string;
  readonly server: ServerProcess;
  readonly address: string;
  readonly path: string;
  readonly request: (rows: number) => Buffer;
}

type Loaded = LoadResult & { readonly cpuSeconds: number };

/**
 * The same features of the same devices on a Redis each, one call in flight: Feast's Python server over gRPC, ours asked
 * by Feast's contract with the very bytes of its request, and ours by its own.
 */
export const measureFeast = async (runs: number, seconds: number): Promise<Measured[]> => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
  const redis = await startRedis();
  const ours = await startFeatureServer(profileRepository(ValueType.INT64));
  const feast = await startFeast(folder, new URL(redis.url).host);
  try {
    await pushProfiles(ours, ValueType.INT64);
    const native = "/millrace.feature.v1.FeatureService/GetFeatures";
    const own = { server: ours.server, address: ours.address };
    const targets: Target[] = [
      { name: "Feast's Python server", ...feast, path: feastPath, request: feastRequest },
      { name: "ours, by Feast's contract", ...own, path: feastPath, request: feastRequest },
      { name: "ours", ...own, path: native, request: (rows) => deviceRequest("profile", rows) },
    ];
    const rows: Measured[] = [];
    for (const size of [1, 10, 100]) rows.push(...(await measure(targets, size, runs, seconds)));
    return rows;
  } finally {
    await feast.server.stop();
    await ours.stop();
    await redis.remove();
    rmSync(folder, { recursive: true, force: true });
  }
};

const startFeast = async (folder: string, redis: string): Promise<{ server: ServerProcess; address: string }> => {
  const environment = await pythonEnvironment("feast", requirements);
  const script = join(import.meta.dirname, "feast_repository.py");
  const sizes = [entities, views, featuresOfView].map(String);
  await promisify(execFile)(environment.python, [script, folder, redis, ...sizes], { timeout: 300_000 });
  const address = `127.0.0.1:${await freePort()}`;
  const server = startProcess({
    command: join(environment.folder, "bin/feast"),
    args: ["--chdir", folder, "listen", "--address", address],
    environment: { PYTHONWARNINGS: "ignore", FEAST_USAGE: "False" },
    errors: "ignore",
  });
  const channel = openChannel(address);
  try {
    const client = createClient(GrpcFeatureServer, channel, { timeoutMs: 5000 });
    for (let attempt = 0; attempt < 120; attempt++) {
      const isThere = await client.getOnlineFeatures(feastMessage(1)).then(
        () => true,
        // Not there yet.
        () => false,
      );
      if (isThere) return { server, address };
      if (server.ended !== undefined) break;
      await sleep(500);
    }
  } finally {
    channel.close();
  }
  await server.stop();
  throw new Error("Feast's server does not answer.");
};

const feastMessage = (rows: number) => {
  const val = Array.from({ length: rows }, (_, index) => ({
    val: { case: "int64Val" as const, value: BigInt((index * 37) % entities) },
  }));
  const features = Array.from({ length: views * featuresOfView }, (_, index) => {
    return `profile_${Math.floor(index / featuresOfView)}:f${index}`;
  });
  return create(GetOnlineFeaturesRequestSchema, {
    kind: { case: "features", value: { val: features } },
    entities: { device: { val } },
    fullFeatureNames: true,
  });
};

const feastRequest = (rows: number): Buffer =>
  Buffer.from(toBinary(GetOnlineFeaturesRequestSchema, feastMessage(rows)));

const measure = async (
  targets: readonly Target[],
  size: number,
  runs: number,
  seconds: number,
): Promise<Measured[]> => {
  const turns = targets.map((): Turn<Loaded>[] => []);
  for (let run = 0; run < runs; run++) {
    for (const [index, { server, address, path, request, name }] of targets.entries()) {
      const turn = await undisturbed(async () => {
        const load = { address, path, request: request(size), inFlight: 1, warmUpSeconds: 0 };
        await unaryLoad({ ...load, seconds: 1 });
        const before = server.cpuSeconds();
        const result = await unaryLoad({ ...load, seconds });
        if (result.failures > 0) throw new Error(`${result.failures} calls of ${name} failed.`);
        return { ...result, cpuSeconds: server.cpuSeconds() - before };
      });
      turns[index]?.push(turn);
    }
  }
  const what = `GetFeatures ${size} × ${views * featuresOfView} INT64`;
  const [feast = []] = turns;
  const cpuUs = ({ result: { cpuSeconds, calls } }: Turn<Loaded>): number => (cpuSeconds / calls) * 1e6;
  const p50 = ({ result }: Turn<Loaded>): number => result.p50Ms;
  return targets.slice(1).flatMap(({ name }, index): Measured[] => {
    const own = turns[index + 1] ?? [];
    const beside = (pick: (turn: Turn<Loaded>) => number) => ({
      ours: median(own.map(pick)),
      ceiling: median(feast.map(pick)),
      ceilingName: "Feast's Python server",
      runs: own.map(pick),
    });
    const bar = name === "ours" && size === 100 ? { bar: { of: "ratio" as const, atMost: 0.1 } } : {};
    return [
      { what: `${what}, ${name}, one in flight, p50`, ...beside(p50), unit: "ms", note: disturbance(turns.flat()) },
      { what: `${what}, ${name}: the server's processor time for a call`, ...beside(cpuUs), unit: "µs", ...bar },
    ];
  });
};
