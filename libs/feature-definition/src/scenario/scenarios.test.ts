import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance, timestampValue } from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import {
  Int64,
  makeData,
  Table,
  TimestampMicrosecond,
  tableFromIPC,
  tableToIPC,
  Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import type { Scalar } from "../compiled.ts";
import { trainingSet } from "../duckdb/training-set.ts";
import { referenceValues } from "../stream/view-stream.reference.ts";
import { withDerivedColumns } from "../stream/with-derived-columns.ts";
import { runScenarios, type ScenarioAnswer } from "./run-scenarios.contract.ts";
import type { Scenario, ScenarioAsk } from "./scenario.contract.ts";

await runScenarios({
  name: "The naive reference",
  answer: async ({ view, events }, asks) =>
    asks.map(({ keys, timeUs, asOf }) => {
      const places = view.keyColumns.map((column) => view.source.columns.findIndex(({ name }) => name === column));
      const counting = events
        .map((event) => withDerivedColumns(view.source, event))
        .map((row, offset) => ({ row, offset, eventTimeUs: Number(row[5]), createdAtUs: Number(row[6]) }))
        .filter(({ row }) => keys.every((key, index) => key !== null && row[places[index] ?? -1] === key))
        .filter(({ eventTimeUs, createdAtUs }) => createdAtUs - eventTimeUs <= Number(view.source.allowedLatenessUs))
        .filter(({ eventTimeUs, createdAtUs }) => eventTimeUs - createdAtUs <= Number(view.source.maxFutureSkewUs))
        .filter(({ createdAtUs }) => asOf === AsOf.EVENT_TIME || createdAtUs <= Number(timeUs))
        .map((event) => ({ ...event, partition: 0, origin: 0 }));
      return { value: referenceValues(view, counting, Number(timeUs))[0] ?? null };
    }),
});

await runScenarios({ name: "DuckDB", answer: answerByDuckDb });

async function answerByDuckDb(scenario: Scenario, asks: readonly ScenarioAsk[]): Promise<ScenarioAnswer[]> {
  const folder = await mkdtemp(join(tmpdir(), "scenario-"));
  try {
    await writeTrips(join(folder, "trips.parquet"), scenario.events);
    const answers: ScenarioAnswer[] = new Array(asks.length);
    for (const asOf of [AsOf.EVENT_TIME, AsOf.KNOWN_AT]) {
      const places = asks.flatMap((ask, index) => (ask.asOf === asOf ? [index] : []));
      const values = await trainingValues(
        scenario,
        places.flatMap((place) => asks[place] ?? []),
        asOf,
        folder,
      );
      places.forEach((place, index) => {
        answers[place] = { value: values[index] ?? null };
      });
    }
    return answers;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function trainingValues(
  scenario: Scenario,
  asks: readonly ScenarioAsk[],
  asOf: AsOf,
  dataRoot: string,
): Promise<Scalar[]> {
  const { repository, view } = scenario;
  const service = repository.services.get("scenario");
  if (service === undefined) throw new Error("The scenario has no service.");
  const times = BigInt64Array.from(asks, ({ timeUs }) => timeUs);
  const columns: Record<string, Vector> = {
    event_time: new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data: times, length: times.length })]),
  };
  view.entity.keys.forEach(({ name, type }, index) => {
    const keys = asks.map((ask) => ask.keys[index] ?? null);
    columns[name] = vectorFromArray(keys, type === ValueType.INT64 ? new Int64() : new Utf8());
  });
  const entityRows = { arrow: tableToIPC(new Table(columns), "stream") };
  const parts: Uint8Array[] = [];
  for await (const part of trainingSet({ repository, service, entityRows, asOf, dataRoot })) {
    if (part.kind === "arrow") parts.push(part.bytes);
  }
  const column = tableFromIPC(Buffer.concat(parts)).getChild("view__feature");
  return asks.map((_, index) => {
    const value: Scalar | Vector | undefined = column?.get(index);
    return value instanceof Vector ? [...value] : (value ?? null);
  });
}

async function writeTrips(path: string, events: readonly (readonly Scalar[])[]): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run(
      'CREATE TABLE trips (city VARCHAR, street BIGINT, fare DOUBLE, riders BIGINT, note VARCHAR, "at" TIMESTAMP, known_at TIMESTAMP, gone BOOLEAN)',
    );
    const statement = await connection.prepare("INSERT INTO trips VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    for (const [
      city = null,
      street = null,
      fare = null,
      riders = null,
      note = null,
      at,
      known,
      gone = null,
    ] of events) {
      statement.bind([
        city as string,
        street as bigint,
        fare as number,
        riders as bigint,
        note as string,
        timestampValue(at as bigint),
        timestampValue(known as bigint),
        gone as boolean,
      ]);
      await statement.run();
    }
    statement.destroySync();
    await connection.run(`COPY trips TO '${path}' (FORMAT parquet)`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
