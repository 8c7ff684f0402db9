import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { FeatureStatus } from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
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
import { compileRepository } from "../compile-repository.ts";
import type { CompiledRepository, CompiledView, Scalar } from "../compiled.ts";
import { trainingSet } from "../duckdb/index.ts";
import { createViewStream } from "./create-view-stream.ts";
import { encodeEntityKey } from "./entity-key.ts";
import { countsIn } from "./event-filter.ts";
import { startUs, writeSales } from "./random-sales.reference.ts";
import type { SourceEvent } from "./source-event.ts";
import { SourceRecordReader } from "./source-record.ts";
import { referenceValues } from "./view-stream.reference.ts";
import { writeSourceRecord } from "./write-source-record.ts";

/** One fact. Times are minutes from a fixed start; it becomes known as it happens where nothing else is said. */
export interface Sale {
  readonly shop: string | null;
  readonly customer?: bigint | null;
  readonly amount?: number | null;
  readonly items?: bigint | null;
  readonly label?: string | null;
  readonly at: number;
  readonly knownAt?: number;
}

export interface SaleAsk {
  readonly shop: string | null;
  readonly customer?: bigint | null;
  readonly at: number;
}

export interface PathAnswers {
  readonly path: "SQL" | "the stream" | "the naive reference";
  /** By ask, in the order of the views' features. */
  readonly values: readonly (readonly Scalar[])[];
  /** Of the stream: the words for what is known, in the same order. */
  readonly statuses?: readonly (readonly string[])[];
}

export const microsecondsAt = (minutes: number): bigint => BigInt(startUs + Math.round(minutes * 60_000_000));

/** Views over sales; the entity is `shop` (keys: shop) where a view names none, `visitor` has shop and customer. */
export const salesViews = (views: readonly JsonObject[]): CompiledRepository =>
  compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [
        { name: "shop", keys: [{ name: "shop", type: "STRING" }] },
        {
          name: "visitor",
          keys: [
            { name: "shop", type: "STRING" },
            { name: "customer", type: "INT64" },
          ],
        },
      ],
      sources: [
        {
          name: "sales",
          fields: [
            { name: "shop", type: "STRING" },
            { name: "customer", type: "INT64" },
            { name: "amount", type: "DOUBLE" },
            { name: "items", type: "INT64" },
            { name: "label", type: "STRING" },
            { name: "sold_at", type: "TIMESTAMP" },
            { name: "known_at", type: "TIMESTAMP" },
          ],
          eventTime: "sold_at",
          createdAt: "known_at",
          batch: { parquet: "sales.parquet" },
          stream: { topic: "sales", format: "JSON" },
        },
      ],
      featureViews: views.map((view) => ({ entity: "shop", source: "sales", ...view })),
      featureServices: [{ name: "all", features: views.map(({ name }) => `${String(name)}.*`) }],
    }),
  );

/**
 * What the views are worth at each ask, on every path. The stream has all facts that had happened by then, whenever they
 * came, in the order given; for KNOWN_AT those that had become known.
 */
export async function onEveryPath(
  views: readonly JsonObject[],
  sales: readonly Sale[],
  asks: readonly SaleAsk[],
  asOf: AsOf = AsOf.EVENT_TIME,
): Promise<PathAnswers[]> {
  const repository = salesViews(views);
  const compiled = [...repository.views.values()];
  const events = eventsOf(repository, sales);
  const visible = (view: CompiledView, ask: SaleAsk): SourceEvent[] => {
    const t = Number(microsecondsAt(ask.at));
    const key = nameOf(view, [ask.shop, ask.customer ?? null]);
    return events.filter(({ row, eventTimeUs, createdAtUs }) => {
      if (key === undefined || nameOf(view, row) !== key || !countsIn(view, row)) return false;
      return asOf === AsOf.KNOWN_AT ? createdAtUs <= t : eventTimeUs <= t;
    });
  };
  const served = asks.map((ask) =>
    compiled.map((view) => {
      const stream = createViewStream(view);
      let bytes: Uint8Array | undefined;
      for (const event of visible(view, ask)) bytes = stream.fold(bytes, [event]) ?? bytes;
      return stream.serve(bytes, Number(microsecondsAt(ask.at)), { nowUs: 0, withExpiredValues: false });
    }),
  );
  const table = await trainingSetOf(repository, sales, asks, asOf);
  const features = repository.services.get("all")?.features ?? [];
  return [
    {
      path: "SQL",
      values: asks.map((_, row) => features.map(({ fullName }) => plain(table.getChild(fullName)?.get(row)))),
    },
    {
      path: "the stream",
      values: served.map((rows) => rows.flatMap(({ values }) => values)),
      statuses: served.map((rows) => rows.flatMap(({ statuses }) => statuses.map(statusName))),
    },
    {
      path: "the naive reference",
      values: asks.map((ask) =>
        compiled.flatMap((view) => referenceValues(view, visible(view, ask), Number(microsecondsAt(ask.at)))),
      ),
    },
  ];
}

/** The training set of the asks: their columns, `note` (the ask's place, as text) and the features. */
export async function trainingSetOf(
  repository: CompiledRepository,
  sales: readonly Sale[],
  asks: readonly SaleAsk[],
  asOf: AsOf,
  change: Record<string, Vector> = {},
): Promise<Table> {
  const service = repository.services.get("all");
  if (service === undefined) throw new Error("the repository lacks its service");
  const folder = await mkdtemp(join(tmpdir(), "every-path-"));
  try {
    await writeSales(
      folder,
      sales.map((sale) => [...rowOf(sale), null]),
    );
    const data = BigInt64Array.from(asks, ({ at }) => microsecondsAt(at));
    const text = (values: (string | null)[]) => vectorFromArray(values, new Utf8());
    const rows = new Table({
      note: text(asks.map((_, index) => String(index))),
      shop: text(asks.map(({ shop }) => shop)),
      customer: vectorFromArray(
        asks.map(({ customer }) => customer ?? null),
        new Int64(),
      ),
      event_time: new Vector([makeData({ type: new TimestampMicrosecond("UTC"), data, length: data.length })]),
      ...change,
    });
    const entityRows = { arrow: tableToIPC(rows, "stream") };
    const parts: Uint8Array[] = [];
    for await (const part of trainingSet({ repository, service, entityRows, asOf, dataRoot: folder })) {
      if (part.kind === "arrow") parts.push(part.bytes);
    }
    return tableFromIPC(Buffer.concat(parts));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Facts as the stream reads them from a topic, those that are refused left out. */
export const eventsOf = (repository: CompiledRepository, sales: readonly Sale[]): SourceEvent[] => {
  const source = repository.sources.get("sales");
  if (source === undefined) throw new Error("the repository lacks its source");
  const reader = new SourceRecordReader(source);
  return sales.flatMap((sale, offset): SourceEvent[] => {
    const read = reader.read(writeSourceRecord(source, rowOf(sale)), 0);
    return read === undefined || "reason" in read ? [] : [{ ...read, partition: 0, offset, origin: 1 }];
  });
};

const rowOf = ({ shop, customer, amount, items, label, at, knownAt }: Sale): Scalar[] => [
  shop,
  customer ?? null,
  amount ?? null,
  items ?? null,
  label ?? null,
  microsecondsAt(at),
  microsecondsAt(knownAt ?? at),
];

/** The key of a view's entity from shop and customer. */
const nameOf = (view: CompiledView, [shop = null, customer = null]: readonly Scalar[]): string | undefined => {
  const key = encodeEntityKey(view.entity, view.entity.keys.length === 1 ? [shop] : [shop, customer]);
  return key === undefined ? undefined : Buffer.from(key).toString("latin1");
};

const plain = (value: unknown): Scalar =>
  value instanceof Vector ? Array.from(value, plain) : ((value ?? null) as Scalar);

const statusNames = new Map<number, string>(Object.entries(FeatureStatus).map(([name, number]) => [number, name]));
const statusName = (status: FeatureStatus): string => statusNames.get(status) ?? String(status);
