import type { Path } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import {
  type FeatureRepository,
  FeatureRepositorySchema,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { FieldViolation } from "@millrace/errors";

const validator = createValidator();

/** The rules of the contract that a repository breaks, with paths spelled as in YAML. */
export const violationsOf = (repository: FeatureRepository): FieldViolation[] => {
  const result = validator.validate(FeatureRepositorySchema, repository);
  if (result.kind === "valid") return [];
  if (result.kind === "error") throw result.error;
  return result.violations.map(({ field, message }) => ({
    field: pathText(field),
    expected: message,
    got: valueText(repository, field),
  }));
};

const pathText = (path: Path): string => {
  let text = "";
  for (const part of path) {
    if (part.kind === "field") text += text === "" ? part.jsonName : `.${part.jsonName}`;
    else if (part.kind === "list_sub") text += `[${part.index}]`;
    else if (part.kind === "map_sub") text += `[${JSON.stringify(String(part.key))}]`;
    else if (part.kind === "oneof") text += `.${part.name}`;
  }
  return text;
};

const valueText = (repository: FeatureRepository, path: Path): string => {
  let value: unknown = repository;
  for (const part of path) {
    if (typeof value !== "object" || value === null) return "nothing";
    const key =
      part.kind === "field" || part.kind === "oneof"
        ? part.localName
        : part.kind === "list_sub"
          ? String(part.index)
          : part.kind === "map_sub"
            ? String(part.key)
            : "";
    value = new Map<string, unknown>(Object.entries(value)).get(key);
  }
  if (typeof value === "string" || typeof value === "number") return JSON.stringify(value);
  return Array.isArray(value) && value.length > 0 ? "a list" : "nothing";
};
