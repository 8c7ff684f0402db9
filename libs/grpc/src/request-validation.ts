import type { DescMessage, Message, MessageShape } from "@bufbuild/protobuf";
import { type Path, pathToString, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import type { FieldViolation } from "@millrace/errors";
import { RequestInvalidError } from "./call-errors.ts";

// Rules are compiled on the first message of a type and kept: later ones cost the checks alone.
const validator = createValidator();

/**
 * Checks a message against the rules that its contract carries (buf.validate).
 * @throws RequestInvalidError naming every field that breaks a rule.
 */
export const validateRequest = <D extends DescMessage>(schema: D, message: MessageShape<D>): void => {
  const result = validator.validate(schema, message);
  if (result.kind === "valid") {
    return;
  }
  if (result.kind === "error") {
    throw result.error;
  }
  const violations = result.violations.map((violation) => fieldViolation(schema, message, violation));
  const first = violations[0];
  const more = violations.length > 1 ? ` and ${violations.length - 1} more` : "";
  throw new RequestInvalidError(
    first === undefined
      ? "The request breaks a rule of its contract."
      : `The request breaks its contract: ${first.field || "the message"}: ${first.expected}, got ${first.got}${more}.`,
    { violations },
  );
};

const fieldViolation = (schema: DescMessage, message: Message, violation: Violation): FieldViolation => ({
  field: violation.field.length === 0 ? "" : pathToString(violation.field),
  expected: violation.message === "" ? violation.ruleId : violation.message,
  got: violation.forKey ? "another key" : describe(valueAt(schema, message, violation.field)),
});

/** Follows a path of the contract into a message. Undefined where the message has nothing there. */
const valueAt = (schema: DescMessage, message: Message, path: Path): unknown => {
  let at: unknown = reflect(schema, message);
  for (const step of path) {
    if (step.kind === "field") {
      // An absent message reads as an empty one.
      at = isReflectMessage(at) && (step.fieldKind !== "message" || at.isSet(step)) ? at.get(step) : undefined;
    } else if (step.kind === "list_sub") {
      at = isIndexed(at) ? at.get(step.index) : undefined;
    } else if (step.kind === "map_sub") {
      at = isIndexed(at) ? at.get(step.key) : undefined;
    } else {
      return at;
    }
  }
  return at;
};

const isIndexed = (value: unknown): value is { get(key: unknown): unknown } =>
  typeof value === "object" && value !== null && "get" in value && typeof value.get === "function";

const isReflectMessage = (value: unknown): value is ReflectMessage =>
  isIndexed(value) && "isSet" in value && typeof value.isSet === "function";

const describe = (value: unknown): string => {
  if (value === undefined || value === null) {
    return "nothing";
  }
  if (typeof value === "string") {
    return value.length === 0 ? "an empty text" : JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value);
  }
  if (value instanceof Uint8Array) {
    return `${value.length} bytes`;
  }
  if (typeof value === "object") {
    return "size" in value && typeof value.size === "number" ? `${value.size} entries` : "a message";
  }
  return String(value);
};
