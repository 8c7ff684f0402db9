import { DuckDBBlobValue, type DuckDBValue } from "@duckdb/node-api";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { CompiledView, Scalar } from "../compiled.ts";
import { quoteIdentifier } from "../expression/duckdb-literal.ts";
import { encodeEntityKey } from "../stream/entity-key.ts";
import type { DuckDbSession } from "./duckdb-session.ts";
import { erasedTable, keyNames, tableOf } from "./view-sql.ts";

/** Which entities were erased: known by the bytes of their keys alone, so that nobody has to keep the keys. */
export interface ErasedEntities {
  /** Whether any entity of the name was erased. */
  hasAny(entity: string): boolean;
  /** When an entity was erased, in microseconds, by `encodeEntityKey` of its keys; undefined where it was not. */
  erasedAtUs(entity: string, entityKey: Uint8Array): number | undefined;
}

/**
 * Finds the erased entities among those that the facts of a view name, and puts their keys into `erasedTable`, which lives as
 * long as the session. Looks at nothing where no entity of the kind was erased.
 * @param facts SQL of the source's rows, derived columns included.
 * @returns whether there are any.
 */
export const loadErasedKeys = async (
  view: CompiledView,
  facts: string,
  erased: ErasedEntities,
  session: DuckDbSession,
): Promise<boolean> => {
  const { entity } = view;
  if (!erased.hasAny(entity.name)) return false;
  const names = keyNames(view);
  const all = tableOf(view, "all keys");
  const keys = view.keyColumns.map((column, index) => `${quoteIdentifier(column)} AS k${index}`);
  await session.connection.run(
    `CREATE TEMP TABLE ${all} AS SELECT row_number() OVER () AS n, * FROM (SELECT DISTINCT ${keys.join(", ")} FROM (${facts}))`,
  );
  const read = names.map((name, index) =>
    entity.keys[index]?.type === ValueType.TIMESTAMP ? `epoch_us(${name})` : name,
  );
  const found: string[] = [];
  const result = await session.connection.stream(`SELECT n, ${read.join(", ")} FROM ${all}`);
  for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
    for (const [number, ...values] of chunk.getRows()) {
      const entityKey = encodeEntityKey(entity, values.map(keyOf));
      const atUs = entityKey === undefined ? undefined : erased.erasedAtUs(entity.name, entityKey);
      if (atUs !== undefined) found.push(`(${String(number)}, ${Math.trunc(atUs)})`);
    }
  }
  if (found.length > 0) {
    await session.connection.run(
      `CREATE TEMP TABLE ${erasedTable(view)} AS SELECT ${names.join(", ")}, at_us FROM ${all} JOIN (VALUES ${found.join(", ")}) e(n, at_us) USING (n)`,
    );
  }
  await session.connection.run(`DROP TABLE ${all}`);
  return found.length > 0;
};

const keyOf = (value: DuckDBValue): Scalar => {
  if (value instanceof DuckDBBlobValue) return value.bytes;
  return typeof value === "bigint" || typeof value === "string" || typeof value === "boolean" ? value : null;
};
