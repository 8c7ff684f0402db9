import { type DescMessage, equals, type MessageInitShape, type MessageShape, toJson } from "@bufbuild/protobuf";
import {
  EntitySchema,
  type FeatureRepository,
  FeatureServiceDefinitionSchema,
  FeatureViewSchema,
  JoinedViewSchema,
  OnDemandViewSchema,
  SourceSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { Change_Kind, type ChangeSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { CompiledRepository } from "@millrace/feature-definition";
import { createViewStream } from "@millrace/feature-definition/stream";

/** A change as it is made here: no message yet. */
export type Change = Exclude<MessageInitShape<typeof ChangeSchema>, { readonly $typeName: string }>;

/** Rows above this are refused unless the view allows more. */
const defaultMaxBytesPerKey = 4096;

/** Thrown when the typical online row of a view is larger than allowed. */
export class RowTooLargeError extends MillraceError {
  constructor(view: string, bytes: number, maxBytes: number) {
    const field = `featureViews.${view}.maxBytesPerKey`;
    super(
      "INVALID_ARGUMENT",
      Reason.DEFINITION_INVALID,
      `${view} would keep about ${bytes} bytes a key online; ${maxBytes} are allowed. Use coarser hops or fewer aggregates, or set maxBytesPerKey.`,
      { violations: [{ field, expected: `${maxBytes} bytes or fewer`, got: `${bytes}` }] },
    );
  }
}

export interface Definitions {
  readonly repository: FeatureRepository;
  readonly compiled: CompiledRepository;
}

/**
 * What differs between the applied definitions and new ones: created, changed and deleted objects; for views whether
 * their values change their meaning, and how large their rows get.
 * @throws RowTooLargeError
 */
export function planChanges(before: Definitions | undefined, after: Definitions): Change[] {
  const old = before?.repository;
  const next = after.repository;
  return [
    ...compare("entity", EntitySchema, old?.entities ?? [], next.entities),
    ...compare("source", SourceSchema, old?.sources ?? [], next.sources),
    ...planViews(before, after),
    ...compare("joined view", JoinedViewSchema, old?.joinedViews ?? [], next.joinedViews),
    ...compare("on-demand view", OnDemandViewSchema, old?.onDemandViews ?? [], next.onDemandViews),
    ...compare("feature service", FeatureServiceDefinitionSchema, old?.featureServices ?? [], next.featureServices),
  ];
}

function planViews(before: Definitions | undefined, after: Definitions): Change[] {
  const changes = compare(
    "feature view",
    FeatureViewSchema,
    before?.repository.featureViews ?? [],
    after.repository.featureViews,
  );
  for (const definition of after.repository.featureViews) {
    const { name } = definition;
    const view = after.compiled.views.get(name);
    if (view === undefined) continue;
    const known = before?.compiled.views.get(name);
    const newVersion = known?.version !== view.version;
    // What neither changed nor means something else was judged when it was applied.
    if (!newVersion && !changes.some((candidate) => candidate.name === name)) continue;
    const size = view.online ? createViewStream(view).size() : { typicalBytes: 0, worstBytes: 0 };
    const maxBytes = definition.maxBytesPerKey || defaultMaxBytesPerKey;
    if (size.typicalBytes > maxBytes) throw new RowTooLargeError(name, size.typicalBytes, maxBytes);
    let change = changes.find((candidate) => candidate.name === name);
    if (change === undefined && newVersion) {
      change = { kind: Change_Kind.UPDATE, object: "feature view", name, detail: "what it reads changed" };
      changes.push(change);
    }
    if (change === undefined) continue;
    change.newVersion = newVersion;
    change.needsBackfill = newVersion && view.online && view.source.batch !== undefined;
    change.typicalBytesPerKey = BigInt(size.typicalBytes);
    change.worstBytesPerKey = BigInt(size.worstBytes);
  }
  return changes;
}

function compare<S extends DescMessage>(
  object: string,
  schema: S,
  before: readonly (MessageShape<S> & { readonly name: string })[],
  after: readonly (MessageShape<S> & { readonly name: string })[],
): Change[] {
  const old = new Map(before.map((item) => [item.name, item]));
  const changes: Change[] = [];
  for (const item of after) {
    const known = old.get(item.name);
    old.delete(item.name);
    if (known === undefined) changes.push({ kind: Change_Kind.CREATE, object, name: item.name });
    else if (!equals<DescMessage>(schema, known, item)) {
      changes.push({ kind: Change_Kind.UPDATE, object, name: item.name, detail: difference(schema, known, item) });
    }
  }
  for (const name of old.keys()) changes.push({ kind: Change_Kind.DELETE, object, name });
  return changes;
}

/** The fields that differ, with what they were and what they become. */
function difference<S extends DescMessage>(schema: S, before: MessageShape<S>, after: MessageShape<S>): string {
  const old = toJson<DescMessage>(schema, before);
  const next = toJson<DescMessage>(schema, after);
  if (typeof old !== "object" || old === null || typeof next !== "object" || next === null) return "";
  const fields = new Set([...Object.keys(old), ...Object.keys(next)]);
  return [...fields]
    .map((field) => [field, JSON.stringify(Reflect.get(old, field)), JSON.stringify(Reflect.get(next, field))])
    .filter(([, was, becomes]) => was !== becomes)
    .map(([field, was = "nothing", becomes = "nothing"]) => `${field}: ${was} → ${becomes}`)
    .join("; ");
}
