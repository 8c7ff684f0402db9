import {
  StreamSource_Envelope,
  StreamSource_Format,
  StreamSource_Framing,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { NewRecord } from "@millrace/event-log";
import type { CompiledSource, CompiledView, Row, Scalar } from "@millrace/feature-definition";
import { encodeEntityKey, withDerivedColumns, writeSourceRecord } from "@millrace/feature-definition/stream";
import type { Unary } from "@millrace/grpc";
import { SourceUnknownError } from "../catalogue.ts";
import { ColumnInvalidError, readColumn } from "../column-values.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { answeringViewIds } from "./await-applied.ts";

/** Thrown when one Push brings more rows than the service takes at once. */
export class TooManyRowsError extends MillraceError {
  constructor(rows: number, maxRows: number) {
    super("RESOURCE_EXHAUSTED", Reason.TOO_LARGE, `${rows} rows were pushed; one call takes at most ${maxRows}.`, {
      metadata: { rows: String(rows), maxRows: String(maxRows) },
    });
  }
}

/** Thrown when rows are pushed to a source whose topic has records of another form than Push writes. */
export class PushFormatError extends MillraceError {
  constructor(source: string) {
    const expected = "a source whose records are JSON, without framing and envelope";
    super(
      "FAILED_PRECONDITION",
      Reason.FIELD_INVALID,
      `Push writes JSON records; ${source} has others: produce to its topic.`,
      {
        violations: [{ field: "source", expected, got: source }],
      },
    );
  }
}

const isPlainJson = ({ stream }: CompiledSource): boolean =>
  stream?.format === StreamSource_Format.JSON &&
  stream.framing === StreamSource_Framing.FRAMING_UNSPECIFIED &&
  stream.envelope === StreamSource_Envelope.ENVELOPE_UNSPECIFIED;

/** Appends facts to the topic of a source, keyed by the entity of its first view. */
export const push =
  (serving: FeatureServing): Unary<typeof FeatureService.method.push> =>
  async (request, call) => {
    const { catalogue, log, applied, topicPartitions, maxPushRows } = serving;
    const source = catalogue.source(request.source);
    const topic = source.stream?.topic;
    if (topic === undefined) {
      throw new SourceUnknownError(
        source.name,
        [],
        `Source ${source.name} has no stream: there is no topic to push to.`,
      );
    }
    if (!isPlainJson(source)) throw new PushFormatError(source.name);
    const columns = request.columns.map((column, index) => {
      const position = source.fields.findIndex(({ name }) => name === column.name);
      const field = source.fields[position];
      if (field === undefined) {
        const known = source.fields.map(({ name }) => name).join(", ");
        throw new ColumnInvalidError(`columns[${index}].name`, `a field of ${source.name}: ${known}`, column.name);
      }
      return { position, values: readColumn(column, field, `columns[${index}]`) };
    });
    const rows = columns[0]?.values.length ?? 0;
    if (rows > maxPushRows) throw new TooManyRowsError(rows, maxPushRows);
    columns.forEach(({ values }, index) => {
      if (values.length === rows) return;
      throw new ColumnInvalidError(`columns[${index}].values`, `${rows} rows, as the first column`, `${values.length}`);
    });
    const timeField = source.fields.findIndex(({ name }) => name === source.eventTime);
    const keyed = [...catalogue.definitions().repository.views.values()].find(
      (view) => view.source.name === source.name,
    );
    const records: NewRecord[] = [];
    for (let index = 0; index < rows; index++) {
      const row: Scalar[] = new Array(source.fields.length).fill(null);
      for (const { position, values } of columns) row[position] = values[index] ?? null;
      if (row[timeField] === null) {
        throw new ColumnInvalidError(`columns.${source.eventTime}`, `a time in row ${index}`, "null");
      }
      const key = keyed === undefined ? undefined : keyOf(keyed, withDerivedColumns(keyed.source, row));
      records.push({ ...(key === undefined ? {} : { key }), value: writeSourceRecord(source, row) });
    }
    const info = await log.ensureTopic(topic, topicPartitions);
    const ends = new Map<number, bigint>();
    for (const { partition, offset } of records.length === 0 ? [] : await log.append(topic, records)) {
      if (offset + 1n > (ends.get(partition) ?? 0n)) ends.set(partition, offset + 1n);
    }
    const positions = [...ends].map(([partition, offset]) => ({ partition, offset }));
    if (request.waitApplied) {
      await applied.wait(topic, info.epoch, answeringViewIds(serving, source), positions, call.signal);
    }
    return { positions, rows: BigInt(rows) };
  };

function keyOf(view: CompiledView, row: Row): Uint8Array | undefined {
  const values = view.keyColumns.map(
    (column) => row[view.source.columns.findIndex(({ name }) => name === column)] ?? null,
  );
  return encodeEntityKey(view.entity, values);
}
