import { create } from "@bufbuild/protobuf";
import type { PushRequest, WriteToOnlineStoreRequest } from "@millrace/contracts/feast/grpc_server";
import type { Value } from "@millrace/contracts/feast/types/Value";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { PushRequestSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { CompiledField, CompiledSource } from "@millrace/feature-definition";
import type { CallContext } from "@millrace/grpc";
import { FeatureViewUnknownError } from "../catalogue.ts";
import { ColumnInvalidError, packColumn } from "../column-values.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { push } from "../rpc/push.ts";
import { scalarOfFeast } from "./feast-values.ts";

/** Thrown where a row is to be written offline alone. */
export class OfflinePushError extends MillraceError {
  constructor(to: string) {
    super(
      "UNIMPLEMENTED",
      Reason.UNIMPLEMENTED,
      `A row is appended to the topic of its source, which serves it online; to: expected online or online_and_offline, got ${to}.`,
    );
  }
}

/** @throws OfflinePushError */
export const refuseOfflineAlone = (to: string): void => {
  if (!["", "online", "online_and_offline"].includes(to)) throw new OfflinePushError(to);
};

/** Feast's Push: one row to the source of this name. @throws OfflinePushError, ColumnInvalidError, SourceUnknownError */
export const pushToSource = async (serving: FeatureServing, request: PushRequest, call: CallContext) => {
  const { to, streamFeatureView, features, typedFeatures } = request;
  refuseOfflineAlone(to);
  await pushRow(serving, serving.catalogue.source(streamFeatureView), features, typedFeatures, call);
  return { status: true };
};

/** Feast's WriteToOnlineStore: one row of the view's source. @throws ColumnInvalidError, FeatureViewUnknownError */
export const pushToView = async (serving: FeatureServing, request: WriteToOnlineStoreRequest, call: CallContext) => {
  const { featureViewName, features, typedFeatures } = request;
  await pushRow(serving, sourceOfView(serving, featureViewName), features, typedFeatures, call);
  return { status: true };
};

/** @throws FeatureViewUnknownError */
export const sourceOfView = ({ catalogue }: FeatureServing, name: string): CompiledSource => {
  const { views } = catalogue.definitions().repository;
  const view = views.get(name);
  if (view === undefined) throw new FeatureViewUnknownError(name, [...views.keys()]);
  return view.source;
};

/** Appends a row to the source's topic, and answers when it is served: Feast's callers read what they have written. */
const pushRow = async (
  serving: FeatureServing,
  source: CompiledSource,
  texts: Readonly<Record<string, string>>,
  typed: Readonly<Record<string, Value>>,
  call: CallContext,
): Promise<void> => {
  const columns = [...Object.keys(texts), ...Object.keys(typed)].map((name) => {
    const field = source.fields.find((candidate) => candidate.name === name);
    if (field === undefined) {
      const known = source.fields.map((candidate) => candidate.name).join(", ");
      throw new ColumnInvalidError(`features.${name}`, `a field of ${source.name}: ${known}`, name);
    }
    const value = typed[name];
    const scalar =
      value === undefined
        ? scalarOfText(texts[name] ?? "", field, `features.${name}`)
        : scalarOfFeast(value, field, `typed_features.${name}`);
    return {
      name,
      values: packColumn([scalar], field.type),
      nulls: scalar === null ? Uint8Array.of(1) : new Uint8Array(),
    };
  });
  await push(serving)(create(PushRequestSchema, { source: source.name, columns, waitApplied: true }), call);
};

/** A value that came as text. @throws ColumnInvalidError */
export const scalarOfText = (
  text: string,
  { type, name }: CompiledField,
  path: string,
): string | boolean | bigint | number => {
  const refused = (expected: string): ColumnInvalidError =>
    new ColumnInvalidError(path, `${expected} for ${name}`, JSON.stringify(text));
  switch (type) {
    case ValueType.STRING:
      return text;
    case ValueType.BOOL:
      if (/^(true|false)$/i.test(text)) return text.toLowerCase() === "true";
      throw refused("true or false");
    case ValueType.INT64:
      if (/^-?\d{1,19}$/.test(text)) return BigInt(text);
      throw refused("a whole number");
    case ValueType.DOUBLE:
    case ValueType.FLOAT: {
      const number = text.trim() === "" ? Number.NaN : Number(text);
      if (!Number.isNaN(number) || /^nan$/i.test(text)) return number;
      throw refused("a number");
    }
    case ValueType.TIMESTAMP: {
      // Feast's clients write a time of pandas, which has no zone where it is UTC.
      const zoned = /(?:Z|[+-]\d{2}:?\d{2})$/i.test(text) ? text : `${text}Z`;
      const ms = Date.parse(zoned.replace(" ", "T"));
      if (Number.isNaN(ms)) throw refused("a time such as 2026-01-31T12:00:00Z");
      const fraction = /\.\d{3}(\d{1,3})/.exec(text)?.[1] ?? "";
      return BigInt(ms) * 1000n + BigInt(fraction.padEnd(3, "0"));
    }
    default:
      throw refused("typed_features");
  }
};
