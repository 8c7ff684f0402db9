import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  type FeatureRepository,
  FeatureRepositorySchema,
} from "@millrace/contracts/millrace/feature/v1/feature_repository";
import type { FieldViolation } from "@millrace/errors";
import { parseDocument } from "yaml";
import { checkJson } from "./check-json.ts";
import { DefinitionInvalidError } from "./definition-invalid-error.ts";
import { rememberOrigin } from "./definition-origin.ts";
import { violationsOf } from "./validate-repository.ts";

const largestFileBytes = 4 * 1024 * 1024;

/**
 * Reads a feature repository: all `*.yaml` and `*.yml` files of a folder and its subfolders, in the order of their
 * names, merged into one message. Each file is the protobuf JSON mapping of FeatureRepository.
 * @throws DefinitionInvalidError with all problems of all files, each with file, path and reason. What the definitions
 *   mean together (names that resolve, types that fit) is checked by `compileRepository`.
 */
export const loadRepository = async (folder: string): Promise<FeatureRepository> => {
  const problems: FieldViolation[] = [];
  const merged = create(FeatureRepositorySchema);
  const files = await definitionFiles(folder);
  if (files.length === 0) {
    throw new DefinitionInvalidError([{ field: folder, expected: "a folder with *.yaml files", got: "none in it" }]);
  }
  for (const path of files) {
    const file = relative(folder, path);
    const part = await readPart(path, file, problems);
    if (part === undefined) continue;
    for (const kind of [
      "entities",
      "sources",
      "featureViews",
      "onDemandViews",
      "featureServices",
      "joinedViews",
    ] as const) {
      part[kind].forEach((definition, index) => {
        rememberOrigin(definition, { file, path: `${kind}[${index}]` });
      });
    }
    merged.entities.push(...part.entities);
    merged.sources.push(...part.sources);
    merged.featureViews.push(...part.featureViews);
    merged.onDemandViews.push(...part.onDemandViews);
    merged.featureServices.push(...part.featureServices);
    merged.joinedViews.push(...part.joinedViews);
  }
  if (problems.length > 0) throw new DefinitionInvalidError(problems);
  return merged;
};

const readPart = async (
  path: string,
  file: string,
  problems: FieldViolation[],
): Promise<FeatureRepository | undefined> => {
  const { size } = await stat(path);
  if (size > largestFileBytes) {
    problems.push({ field: file, expected: `at most ${largestFileBytes} bytes`, got: `${size} bytes` });
    return undefined;
  }
  const document = parseDocument(await readFile(path, "utf8"), { prettyErrors: true, uniqueKeys: true });
  if (document.errors.length > 0) {
    for (const error of document.errors) {
      problems.push({ field: file, expected: "YAML", got: error.message.replaceAll("\n", " ").trim() });
    }
    return undefined;
  }
  let json: unknown;
  try {
    json = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    // An alias without its anchor, or too many of one.
    problems.push({ field: file, expected: "YAML", got: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
  const found = checkJson(json, FeatureRepositorySchema);
  problems.push(...found.map((problem) => ({ ...problem, field: `${file}: ${problem.field}` })));
  if (found.some(({ got }) => !got.startsWith("the unknown key"))) return undefined;
  let part: FeatureRepository;
  try {
    part = fromJson(FeatureRepositorySchema, json as JsonValue, { ignoreUnknownFields: true });
  } catch (error) {
    // What fits its type and still is no value of it, such as text that is no Unicode.
    const got = error instanceof Error ? error.message : String(error);
    problems.push({ field: file, expected: "values that protobuf can hold", got });
    return undefined;
  }
  problems.push(...violationsOf(part).map((problem) => ({ ...problem, field: `${file}: ${problem.field}` })));
  return part;
};

const definitionFiles = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch((error: unknown) => {
    const got = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new DefinitionInvalidError([{ field: folder, expected: "a folder that can be read", got }]);
  });
  return entries
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name) && !entry.name.startsWith("."))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(
      (path) =>
        !relative(folder, path)
          .split(/[\\/]/)
          .some((part) => part === "node_modules" || part.startsWith(".")),
    )
    .sort();
};
