import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { freePort } from "@millrace/backing";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import {
  GetFeaturesRequestSchema,
  GetFeaturesResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { Redis } from "ioredis";
import { startScript } from "../child-server.ts";
import { type LoadResult, unaryLoad } from "../load-generator.ts";
import { type Bar, type Measured, median } from "../record.ts";
import type { ServerProcess } from "../server-process.ts";
import { disturbance, type Turn, undisturbed } from "../undisturbed.ts";
import { type FeatureServer, startFeatureServer } from "./feature-server.ts";
import { deviceRequest, entities, featuresOfView, profileRepository, pushProfiles, views } from "./profile-views.ts";

const path = "/millrace.feature.v1.FeatureService/GetFeatures";
const bars: ReadonlyMap<number, Bar> = new Map([
  [1, { of: "ratio", atMost: 1.3 }],
  [100, { of: "ratio", atMost: 1.2 }],
]);

/** GetFeatures of 1, 10 and 100 rows, beside a grpc-js server that makes one MGET of as many rows and answers as many bytes. */
export const measureReading = async (runs: number, seconds: number): Promise<Measured[]> => {
  const rows: Measured[] = [];
  for (const [type, word] of [
    [ValueType.INT64, "INT64"],
    [ValueType.DOUBLE, "DOUBLE"],
  ] as const) {
    const features = await startFeatureServer(profileRepository(type));
    try {
      await pushProfiles(features, type);
      for (const size of [1, 10, 100]) {
        const what = `GetFeatures ${size} × ${views * featuresOfView} ${word}`;
        const keys = size * views;
        rows.push(
          ...(await besideFloor({
            features,
            what,
            service: "profile",
            size,
            keys,
            bar: bars.get(size),
            runs,
            seconds,
          })),
        );
      }
      if (type === ValueType.DOUBLE) {
        await pushReadings(features);
        for (const size of [1, 100]) {
          const what = `GetFeatures ${size} × 3 windowed aggregates of 1,000 events`;
          rows.push(
            ...(await besideFloor({
              features,
              what,
              service: "windows",
              size,
              keys: size,
              bar: undefined,
              runs,
              seconds,
            })),
          );
        }
      }
    } finally {
      await features.stop();
    }
  }
  return rows;
};

/** The same request with 10 and with 1,000 registered views. */
export const measureViewCount = async (runs: number, seconds: number): Promise<Measured> => {
  const few = await startFeatureServer(profileRepository(ValueType.INT64, 10 - views - 1));
  const many = await startFeatureServer(profileRepository(ValueType.INT64, 1000 - views - 1));
  try {
    await pushProfiles(few, ValueType.INT64);
    await pushProfiles(many, ValueType.INT64);
    const request = deviceRequest("profile", 10);
    const turns: [Turn<Loaded>[], Turn<Loaded>[]] = [[], []];
    for (let index = 0; index < runs; index++) {
      turns[0].push(await loaded(few.server, few.address, path, request, seconds));
      turns[1].push(await loaded(many.server, many.address, path, request, seconds));
    }
    const [ofFew, ofMany] = turns.map((each) => each.map(({ result }) => result.p50Ms));
    return {
      what: "GetFeatures 10 × 50 with 1,000 registered views, p50",
      ours: median(ofMany ?? []),
      unit: "ms",
      ceiling: median(ofFew ?? []),
      ceilingName: "with 10",
      runs: ofMany ?? [],
      bar: { of: "ratio", atMost: 1.05 },
      note: disturbance(turns.flat()),
    };
  } finally {
    await few.stop();
    await many.stop();
  }
};

interface Comparison {
  readonly features: FeatureServer;
  readonly what: string;
  readonly service: string;
  readonly size: number;
  /** Rows of the store behind an answer. */
  readonly keys: number;
  readonly bar: Bar | undefined;
  readonly runs: number;
  readonly seconds: number;
}

type Loaded = LoadResult & { readonly cpuSeconds: number };

const loaded = (
  server: ServerProcess,
  address: string,
  method: string,
  request: Buffer,
  seconds: number,
): Promise<Turn<Loaded>> =>
  undisturbed(async () => {
    const load = { address, path: method, request, inFlight: 1, warmUpSeconds: 0 };
    await unaryLoad({ ...load, seconds: 1 });
    const before = server.cpuSeconds();
    const result = await unaryLoad({ ...load, seconds });
    if (result.failures > 0) throw new Error(`${result.failures} calls failed.`);
    return { ...result, cpuSeconds: server.cpuSeconds() - before };
  });

const besideFloor = async (comparison: Comparison): Promise<Measured[]> => {
  const { features, what, service, size, keys, bar, runs, seconds } = comparison;
  const request = deviceRequest(service, size);
  const answer = await features.client.getFeatures(fromBinary(GetFeaturesRequestSchema, request));
  const answerBytes = toBinary(GetFeaturesResponseSchema, answer).byteLength;
  const rowBytes = await bytesOfRow(features, service);
  const floorPort = await freePort();
  const floorScript = join(import.meta.dirname, "echo-after-mget-server.ts");
  const floor = await startScript([
    floorScript,
    ...[floorPort, answerBytes, features.redisUrl, keys, rowBytes].map(String),
  ]);
  try {
    const floors: Turn<Loaded>[] = [];
    const ours: Turn<Loaded>[] = [];
    for (let index = 0; index < runs; index++) {
      floors.push(await loaded(floor, `127.0.0.1:${floorPort}`, "/echo.Echo/Unary", request, seconds));
      ours.push(await loaded(features.server, features.address, path, request, seconds));
    }
    const figures = (turns: readonly Turn<Loaded>[], pick: (result: Loaded) => number) =>
      turns.map(({ result }) => pick(result));
    const cpuUs = ({ cpuSeconds, calls }: Loaded) => (cpuSeconds / calls) * 1e6;
    const p99 = median(figures(ours, ({ p99Ms }) => p99Ms)).toFixed(2);
    const notes = [
      `p99 ${p99} ms, ${answerBytes} bytes an answer of ${keys} rows of ${rowBytes} bytes`,
      disturbance([...floors, ...ours]),
    ];
    const of = (pick: (result: Loaded) => number) => ({
      ours: median(figures(ours, pick)),
      ceiling: median(figures(floors, pick)),
      ceilingName: "echo after one MGET",
      runs: figures(ours, pick),
    });
    return [
      {
        what: `${what}, one in flight, p50`,
        ...of(({ p50Ms }) => p50Ms),
        unit: "ms",
        ...(bar === undefined ? {} : { bar }),
        note: notes.filter((note) => note !== "").join("; "),
      },
      { what: `${what}: the server's processor time for a call`, ...of(cpuUs), unit: "µs" },
    ];
  } finally {
    await floor.stop();
  }
};

/** What a row of a service's first view takes in the store, on average. */
const bytesOfRow = async ({ redisUrl }: FeatureServer, service: string): Promise<number> => {
  const redis = new Redis(redisUrl);
  try {
    const view = service === "windows" ? "windows" : "profile_0";
    const [, keys] = await redis.scanBuffer(0, "MATCH", `bench:row/${view}/*`, "COUNT", 20_000);
    const lengths = await Promise.all(keys.map((key) => redis.strlen(key)));
    return Math.round(lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, lengths.length));
  } finally {
    redis.disconnect();
  }
};

/** Gives every device a thousand readings over the last day. */
const pushReadings = async ({ client }: FeatureServer): Promise<void> => {
  const nowUs = BigInt(Date.now()) * 1000n;
  const each = 1000;
  const stepUs = 86_000_000n;
  const devices = 200;
  for (let device = 0; device < devices; device += 5) {
    const rows = Array.from({ length: 5 * each }, (_, index) => ({
      device: BigInt((device + Math.floor(index / each)) * 37) % BigInt(entities),
      at: nowUs - BigInt(each - (index % each)) * stepUs,
    }));
    await client.push(
      {
        source: "readings",
        columns: [
          { name: "device", values: { values: { case: "int64s", value: { values: rows.map((row) => row.device) } } } },
          { name: "at", values: { values: { case: "timestamps", value: { valuesUs: rows.map((row) => row.at) } } } },
          {
            name: "value",
            values: { values: { case: "doubles", value: { values: rows.map((_, index) => index % 97) } } },
          },
        ],
        waitApplied: true,
      },
      { timeoutMs: 60_000 },
    );
  }
};
