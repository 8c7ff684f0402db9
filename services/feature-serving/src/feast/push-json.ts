import { create } from "@bufbuild/protobuf";
import { PushRequestSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledSource, Scalar } from "@millrace/feature-definition";
import type { CallContext } from "@millrace/grpc";
import type { JsonValue } from "@millrace/rest";
import { ColumnInvalidError, packColumn } from "../column-values.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { push } from "../rpc/push.ts";
import { scalarOfJson } from "./feast-json.ts";
import { refuseOfflineAlone, sourceOfView } from "./push-row.ts";

/** Rows by column, as Feast's HTTP server takes them. */
export type JsonColumns = Readonly<Record<string, readonly JsonValue[]>>;

/** Rows to the source of this name. @throws OfflinePushError, ColumnInvalidError, SourceUnknownError */
export const pushJsonToSource = async (
  serving: FeatureServing,
  { source, to, columns }: { readonly source: string; readonly to: string; readonly columns: JsonColumns },
  call: CallContext,
): Promise<void> => {
  refuseOfflineAlone(to);
  await pushColumns(serving, serving.catalogue.source(source), columns, call);
};

/**
 * Rows to the source of this view. Feast's remote online store calls the times `event_timestamp` and `created`, whatever
 * the source calls them. A row of which nobody tells when it became known becomes known now.
 * @throws ColumnInvalidError, FeatureViewUnknownError
 */
export const pushJsonToView = async (
  serving: FeatureServing,
  { view, columns }: { readonly view: string; readonly columns: JsonColumns },
  call: CallContext,
): Promise<void> => {
  const source = sourceOfView(serving, view);
  const known = new Set(source.fields.map(({ name }) => name));
  const own = new Map(Object.entries(columns));
  const rename = (feastName: string, name: string | undefined): void => {
    const values = own.get(feastName);
    if (values === undefined || known.has(feastName)) return;
    own.delete(feastName);
    if (name !== undefined && !own.has(name)) own.set(name, values);
  };
  rename("event_timestamp", source.eventTime);
  rename("created", source.createdAt);
  if (source.createdAt !== undefined) {
    const now = new Date(serving.nowUs() / 1000).toISOString();
    const rows = Object.values(columns)[0]?.length ?? 0;
    const told = own.get(source.createdAt) ?? new Array<null>(rows).fill(null);
    own.set(
      source.createdAt,
      told.map((value) => value ?? now),
    );
  }
  await pushColumns(serving, source, Object.fromEntries(own), call);
};

/** Appends the rows to the source's topic, and answers when they are served: Feast's callers read what they have written. */
const pushColumns = async (
  serving: FeatureServing,
  source: CompiledSource,
  given: JsonColumns,
  call: CallContext,
): Promise<void> => {
  const columns = Object.entries(given).map(([name, column]) => {
    const field = source.fields.find((candidate) => candidate.name === name);
    if (field === undefined) {
      const known = source.fields.map((candidate) => candidate.name).join(", ");
      throw new ColumnInvalidError(`df.${name}`, `a field of ${source.name}: ${known}`, name);
    }
    const values: Scalar[] = column.map((value, row) => scalarOfJson(value, field, `df.${name}[${row}]`));
    return {
      name,
      values: packColumn(values, field.type),
      nulls: Uint8Array.from(values, (value) => (value === null ? 1 : 0)),
    };
  });
  await push(serving)(create(PushRequestSchema, { source: source.name, columns, waitApplied: true }), call);
};
