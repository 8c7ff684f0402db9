import { type Value, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { MillraceError, Reason } from "@millrace/errors";
import { type CompiledEntity, type CompiledRepository, ownValue, type Scalar } from "@millrace/feature-definition";
import { encodeEntityKey } from "@millrace/feature-definition/stream";

/** Thrown when an entity is named that no definition has. */
export class EntityUnknownError extends MillraceError {
  constructor(name: string, known: readonly string[]) {
    super("NOT_FOUND", Reason.ENTITY_UNKNOWN, `No entity ${name} is applied; there is ${known.join(", ") || "none"}.`, {
      resource: { kind: "entity", name },
    });
  }
}

/** Thrown when the keys of a request are not those of the entity. */
export class EntityKeysInvalidError extends MillraceError {
  constructor(field: string, expected: string, got: string) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `${field}: expected ${expected}, got ${got}.`, {
      violations: [{ field, expected, got }],
    });
  }
}

/** @throws EntityUnknownError */
export const entityOf = (repository: CompiledRepository, name: string): CompiledEntity => {
  const entity = repository.entities.get(name);
  if (entity === undefined) throw new EntityUnknownError(name, [...repository.entities.keys()]);
  return entity;
};

/** The bytes of an entity's keys. @throws EntityKeysInvalidError, which never shows a key's value. */
export const entityKeyOf = (entity: CompiledEntity, given: Readonly<Record<string, Value>>): Uint8Array => {
  const wanted = entity.keys.map(({ name }) => name);
  for (const name of Object.keys(given)) {
    if (!wanted.includes(name)) throw new EntityKeysInvalidError(`keys.${name}`, `one of ${wanted.join(", ")}`, name);
  }
  const values = entity.keys.map(({ name, type }): Scalar => {
    const held = ownValue(given, name)?.value;
    const scalar = held === undefined ? undefined : scalarOf(held);
    const expected = caseOfType[type];
    if (scalar === undefined || held?.case !== expected) {
      throw new EntityKeysInvalidError(`keys.${name}`, `a value as ${expected}`, held?.case ?? "none");
    }
    return scalar;
  });
  const key = encodeEntityKey(entity, values);
  if (key === undefined) throw new EntityKeysInvalidError("keys", "a value for each key", "none");
  return key;
};

const caseOfType: Readonly<Record<number, Value["value"]["case"]>> = {
  [ValueType.BOOL]: "bool",
  [ValueType.INT64]: "int64",
  [ValueType.STRING]: "string",
  [ValueType.BYTES]: "bytes",
  [ValueType.TIMESTAMP]: "timestampUs",
};

const scalarOf = (held: Value["value"]): Scalar | undefined =>
  held.case === undefined || held.case === "list" ? undefined : held.value;
