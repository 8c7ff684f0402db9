import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
import { afterAll, describe, expect, test } from "vitest";
import type { CompiledRepository, CompiledView, Scalar } from "../compiled.ts";
import { trainingSet } from "../duckdb/index.ts";
import { createViewStream } from "./create-view-stream.ts";
import { encodeEntityKey } from "./entity-key.ts";
import { countsIn } from "./event-filter.ts";
import {
  type Amounts,
  randomSales,
  salesRepository,
  seeded,
  shops,
  startUs,
  writeSales,
} from "./random-sales.reference.ts";
import type { SourceEvent } from "./source-event.ts";
import { SourceRecordReader } from "./source-record.ts";
import { referenceValues } from "./view-stream.reference.ts";
import { writeSourceRecord } from "./write-source-record.ts";

const minute = 60_000_000;
const hour = 60 * minute;
const day = 24 * hour;
const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const folder = mkdtempSync(join(tmpdir(), "equal-paths-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Ask {
  readonly shop: string;
  readonly customer: bigint;
  readonly atUs: number;
}

/** The SQL path. */
async function offline(compiled: CompiledRepository, asks: readonly Ask[], asOf: AsOf): Promise<Table> {
  const service = compiled.services.get("all");
  if (service === undefined) throw new Error("the service is missing");
  const data = BigInt64Array.from(asks, ({ atUs }) => BigInt(atUs));
  const rows = new Table({
    shop: vectorFromArray(
      asks.map(({ shop }) => shop),
      new Utf8(),
    ),
    place: vectorFromArray(
      asks.map(({ shop }) => placeOf(shop)),
      new Utf8(),
    ),
    customer: vectorFromArray(
      asks.map(({ customer }) => customer),
      new Int64(),
    ),
    event_time: new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data, length: data.length })]),
  });
  const entityRows = { arrow: tableToIPC(rows, "stream") };
  const parts: Uint8Array[] = [];
  for await (const part of trainingSet({ repository: compiled, service, entityRows, asOf, dataRoot: folder })) {
    if (part.kind === "arrow") parts.push(part.bytes);
  }
  return tableFromIPC(Buffer.concat(parts));
}

/** The events of a source as the stream path reads them, those that are refused left out. */
function readEvents(compiled: CompiledRepository, rows: readonly (readonly Scalar[])[]): SourceEvent[] {
  const source = compiled.sources.get("sales");
  if (source === undefined) throw new Error("the source is missing");
  const reader = new SourceRecordReader(source);
  return rows.flatMap((row, offset) => {
    const read = reader.read(writeSourceRecord(source, row), 0);
    return read === undefined || "reason" in read ? [] : [{ ...read, partition: 0, offset, origin: 1 }];
  });
}

const placeOf = (shop: string): string => shop.toUpperCase();

function keyOf(view: CompiledView, { shop, customer }: Ask): string {
  const values: Readonly<Record<string, Scalar>> = { shop, customer, place: placeOf(shop) };
  return nameOf(
    view,
    view.entity.keys.map(({ name }) => values[name] ?? null),
  );
}

function nameOf(view: CompiledView, values: readonly Scalar[]): string {
  const key = encodeEntityKey(view.entity, values);
  return key === undefined ? "" : Buffer.from(key).toString("latin1");
}

function ofKey(view: CompiledView, events: readonly SourceEvent[], ask: Ask): SourceEvent[] {
  const wanted = keyOf(view, ask);
  const places = view.keyColumns.map((column) => view.source.columns.findIndex(({ name }) => name === column));
  return events.filter(
    ({ row }) =>
      nameOf(
        view,
        places.map((place) => row[place] ?? null),
      ) === wanted && countsIn(view, row),
  );
}

/** Folds in small batches, with repetitions, through the bytes of the row. */
function foldInBatches(view: CompiledView, events: readonly SourceEvent[], random: (below: number) => number) {
  const stream = createViewStream(view);
  let row: Uint8Array | undefined;
  for (let at = 0; at < events.length; ) {
    const batch = events.slice(Math.max(0, at - random(5)), at + 1 + random(15));
    row = stream.fold(row, batch) ?? row;
    at = events.indexOf(batch.at(-1) as SourceEvent) + 1;
  }
  return { stream, row };
}

/** Doubles to 1e-9 of the largest sum that stands behind them. */
function expectEqual(name: string, got: Scalar, expected: Scalar, scale: number): void {
  if (typeof expected === "number" && typeof got === "number" && Number.isFinite(expected)) {
    expect(
      Math.abs(got - expected) <= 1e-9 * Math.max(1, Math.abs(expected), scale),
      `${name}: ${got}, ${expected}`,
    ).toBe(true);
  } else expect(got, name).toEqual(expected);
}

/** Sums in which large values cancel are judged by the largest value. */
const scaleOf = (feature: string, amounts: Amounts): number => {
  const integers = /_1_/.test(feature) ? 1e9 : 0;
  const scale = amounts === "large" ? 1e10 : integers;
  if (/^(sum|mean|stddev)_/.test(feature)) return scale;
  return /^variance_/.test(feature) ? scale * scale : 0;
};

/** Arrow's reader gives instants in milliseconds. */
const scalarOf = (value: unknown, type: ValueType): Scalar => {
  if (value instanceof Vector) return Array.from(value as Iterable<unknown>, (element) => scalarOf(element, type));
  if (type === ValueType.TIMESTAMP_LIST && typeof value === "number") return BigInt(Math.round(value * 1000));
  return value === undefined ? null : (value as Scalar);
};

describe(`a feature has one value (seed ${seed})`, { timeout: 120_000 }, () => {
  const compiled = salesRepository();
  const views = [...compiled.views.values()];
  const featuresOf = (view: CompiledView) => createViewStream(view).features;
  const rounds = [
    [0, "small"],
    [1, "large"],
    [2, "odd"],
  ] as const;

  test.each(rounds)(
    "by SQL, by the stream, and by the naive reference, after all events came in any order (%i, %s amounts)",
    async (round, amounts) => {
      const random = seeded(seed + round);
      const rows = randomSales(random, 50 + random(700), amounts);
      await writeSales(folder, rows);
      const events = readEvents(compiled, rows);
      const settled = Math.max(...events.map((event) => Math.min(event.eventTimeUs, event.createdAtUs)));
      const asks: Ask[] = Array.from({ length: 60 }, () => ({
        shop: [...shops, "nowhere"][random(6)] ?? "",
        customer: BigInt(random(4)),
        atUs: settled + (random(4) === 0 ? 0 : random(2) === 0 ? random(2 * hour) : random(9 * day)),
      }));
      const earlier = asks.map((ask) => ({ ...ask, atUs: startUs + Math.floor(random(7 * day) / minute) * minute }));
      const table = await offline(compiled, [...asks, ...earlier], AsOf.EVENT_TIME);
      for (const view of views) {
        const folded = new Map<string, ReturnType<typeof foldInBatches>>();
        [...asks, ...earlier].forEach((ask, index) => {
          const own = ofKey(view, events, ask);
          const expected = referenceValues(view, own, ask.atUs);
          const key = keyOf(view, ask);
          const { stream, row } = folded.get(key) ?? foldInBatches(view, own, random);
          folded.set(key, { stream, row });
          const options = { nowUs: 0, withExpiredValues: false };
          const served = index < asks.length ? stream.serve(row, ask.atUs, options).values : undefined;
          featuresOf(view).forEach(({ name, type }, feature) => {
            const label = `${view.name}.${name} of ${ask.shop} ${ask.customer} at ${ask.atUs}`;
            const wanted = expected[feature] ?? null;
            expectEqual(
              `SQL ${label}`,
              scalarOf(table.getChild(`${view.name}__${name}`)?.get(index), type),
              wanted,
              scaleOf(name, amounts),
            );
            if (served !== undefined)
              expectEqual(`stream ${label}`, served[feature] ?? null, wanted, scaleOf(name, amounts));
          });
        });
      }
    },
  );

  test.each(rounds)(
    "known-at SQL gives what the stream had answered at that time (%i, %s amounts)",
    async (round, amounts) => {
      const random = seeded(seed + 100 + round);
      const rows = randomSales(random, 50 + random(400), amounts).sort((a, b) => Number(a[6]) - Number(b[6]));
      await writeSales(folder, rows);
      const events = readEvents(compiled, rows);
      const asks = Array.from({ length: 40 }, (): Ask => {
        const known = events[random(events.length)]?.createdAtUs ?? startUs;
        return { shop: shops[random(5)] ?? "", customer: BigInt(random(3)), atUs: known + random(2) * random(hour) };
      });
      const table = await offline(compiled, asks, AsOf.KNOWN_AT);
      for (const view of views) {
        asks.forEach((ask, index) => {
          const known = ofKey(view, events, ask).filter(({ createdAtUs }) => createdAtUs <= ask.atUs);
          const { stream, row } = foldInBatches(view, known, random);
          const served = stream.serve(row, ask.atUs, { nowUs: 0, withExpiredValues: false }).values;
          featuresOf(view).forEach(({ name, type }, feature) => {
            const label = `${view.name}.${name} of ${ask.shop} ${ask.customer} at ${ask.atUs}`;
            const sql = scalarOf(table.getChild(`${view.name}__${name}`)?.get(index), type);
            expectEqual(label, served[feature] ?? null, sql, scaleOf(name, amounts));
          });
        });
      }
    },
  );
});
