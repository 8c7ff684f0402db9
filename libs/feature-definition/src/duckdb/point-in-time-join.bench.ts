import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromJson } from "@bufbuild/protobuf";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { AsOf, EntityQuerySchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { compileRepository } from "../compile-repository.ts";
import { DuckDbSession } from "./duckdb-session.ts";
import { trainingSet } from "./training-set.ts";

// Times one training set: entity rows joined with as many events, 6 features over 3 windows.
//   node src/duckdb/point-in-time-join.bench.ts [rows, default 3000000]

const rows = Number(process.argv[2] ?? 3_000_000);
const folder = mkdtempSync(join(tmpdir(), "point-in-time-join-"));
try {
  const session = await DuckDbSession.open();
  const spread = (seed: number): string => `hash(i * ${seed})`;
  const time = (seed: number): string => `make_timestamp((${spread(seed)} % (180 * 86400::UBIGINT))::BIGINT * 1000000)`;
  await session.connection.run(
    `COPY (SELECT (${spread(1)} % 1000)::BIGINT AS shop, ${time(7)} AS sold_at, (${spread(3)} % 1000) / 10.0::DOUBLE AS amount FROM range(${rows}) r(i)) TO '${folder}/events.parquet'`,
  );
  await session.connection.run(
    `COPY (SELECT (${spread(11)} % 1000)::BIGINT AS shop, ${time(13)} AS event_time FROM range(${rows}) r(i)) TO '${folder}/rows.parquet'`,
  );
  session.close();
  const repository = compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [{ name: "shop", keys: [{ name: "shop", type: "INT64" }] }],
      sources: [
        {
          name: "sales",
          fields: [
            { name: "shop", type: "INT64" },
            { name: "amount", type: "DOUBLE" },
            { name: "sold_at", type: "TIMESTAMP" },
          ],
          eventTime: "sold_at",
          batch: { parquet: "events.parquet" },
        },
      ],
      featureViews: [
        {
          name: "sales",
          entity: "shop",
          source: "sales",
          aggregates: ["1h", "24h", "7d"].flatMap((window) => [
            { name: `mean_${window}`, function: "MEAN", of: "amount", window },
            { name: `count_${window}`, function: "COUNT", window },
          ]),
        },
      ],
      featureServices: [{ name: "all", features: ["sales.*"] }],
    }),
  );
  const service = repository.services.get("all");
  if (service === undefined) throw new Error("The service is missing.");
  const query = create(EntityQuerySchema, { data: { case: "parquet", value: "rows.parquet" } });
  const started = performance.now();
  const startedCpu = process.cpuUsage();
  let bytes = 0;
  for await (const part of trainingSet({
    repository,
    service,
    entityRows: { query },
    asOf: AsOf.EVENT_TIME,
    dataRoot: folder,
    engine: { memoryLimit: "8GB" },
  })) {
    if (part.kind === "arrow") bytes += part.bytes.length;
  }
  const { user, system } = process.cpuUsage(startedCpu);
  process.stdout.write(
    `${JSON.stringify({ rows, seconds: (performance.now() - started) / 1000, cpuSeconds: (user + system) / 1e6, bytes })}\n`,
  );
} finally {
  rmSync(folder, { recursive: true });
}
