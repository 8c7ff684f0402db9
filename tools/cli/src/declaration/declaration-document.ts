import { isDeepStrictEqual, diff as lineDiff } from "node:util";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  type DeployedVersion,
  type DeploymentDeclaration,
  DeploymentDeclarationSchema,
} from "@millrace/contracts/millrace/inference/v1/deployment";
import { MillraceError, Reason } from "@millrace/errors";
import { type Document, isMap, isSeq, parseDocument, type ToStringOptions, visit, YAMLMap, YAMLSeq } from "yaml";

/** Thrown when a file of deployments cannot be read or edited. */
export class DeclarationFileError extends MillraceError {
  constructor(message: string, cause?: unknown) {
    super("INVALID_ARGUMENT", Reason.DECLARATION_INVALID, message, { cause });
  }
}

/** What is said of one version; what is undefined stays as it is, and null is taken away. */
export interface VersionChange {
  readonly package?: string;
  readonly weight?: number | null;
  readonly shadow?: boolean | null;
  readonly header?: string | null;
}

/**
 * The text of a deployments file, edited as a person would: comments, order and the form of every line that does not
 * change stay as they are.
 */
export class DeclarationDocument {
  readonly #text: string;
  readonly #document: Document;

  /** @param name of the file, for messages. @throws DeclarationFileError */
  constructor(text: string, name: string) {
    this.#text = text;
    this.#document = parseDocument(text, { uniqueKeys: true });
    const [problem] = this.#document.errors;
    if (problem !== undefined) throw new DeclarationFileError(`${name} is no YAML: ${problem.message}`, problem);
    visit(this.#document, {
      Alias: () => {
        throw new DeclarationFileError(`${name} has aliases: an edit would change more than one place.`);
      },
    });
    this.read(name);
  }

  /** The declaration as the service reads it. @throws DeclarationFileError */
  read(name = "The file"): DeploymentDeclaration {
    return declarationOf(this.#document.toJS() as JsonValue, name);
  }

  /** The versions of a model; undefined where it is not declared. */
  versions(model: string): readonly DeployedVersion[] | undefined {
    return this.read().deployments.find((deployment) => deployment.model === model)?.versions;
  }

  /** The version that a rollback of a model goes to; 0 where there is none. */
  previousVersion(model: string): bigint {
    return this.read().deployments.find((deployment) => deployment.model === model)?.previousVersion ?? 0n;
  }

  setPreviousVersion(model: string, version: bigint | undefined): void {
    put(this.#deployment(model), "previousVersion", version === undefined ? null : Number(version));
  }

  /** Takes away all versions of a model but those that are added later. Declares the model where it is not. */
  clearVersions(model: string): void {
    this.#sequence(this.#deployment(model), "versions").items.splice(0);
  }

  /** Changes a version of a model, or adds it. */
  setVersion(model: string, version: bigint, change: VersionChange): void {
    const versions = this.#sequence(this.#deployment(model), "versions");
    let entry = versions.items.find(
      (item): item is YAMLMap => isMap(item) && String(item.get("version")) === `${version}`,
    );
    if (entry === undefined) {
      entry = this.#document.createNode({ version: Number(version) }) as YAMLMap;
      entry.flow = versions.items.length > 0 && versions.items.every((item) => isMap(item) && item.flow === true);
      versions.items.push(entry);
    }
    for (const key of ["package", "weight", "shadow", "header"] as const) {
      const value = change[key];
      if (value !== undefined) put(entry, key, value);
    }
  }

  /** The text with all changes. */
  toString(): string {
    const before = parseDocument(this.#text);
    const meant: unknown = this.#document.toJS();
    if (isDeepStrictEqual(before.toJS(), meant)) return this.#text;
    const candidates = forms.flatMap((form) => {
      const edited = this.#document.toString(form);
      return [keepLines(this.#text, before.toString(form), edited), edited];
    });
    const changed = (text: string) =>
      lineDiff(linesOf(this.#text), linesOf(text)).filter(([what]) => what !== 0).length;
    const right = candidates.filter((text) => isDeepStrictEqual(parseDocument(text).toJS(), meant));
    return right.reduce((nearest, other) => (changed(other) < changed(nearest) ? other : nearest));
  }

  #deployment(model: string): YAMLMap {
    if (this.#document.contents === null) this.#document.contents = new YAMLMap();
    if (!isMap(this.#document.contents)) throw new DeclarationFileError("The file is no mapping.");
    const deployments = this.#sequence(this.#document.contents, "deployments");
    let entry = deployments.items.find((item): item is YAMLMap => isMap(item) && item.get("model") === model);
    if (entry === undefined) {
      entry = this.#document.createNode({ model }) as YAMLMap;
      deployments.items.push(entry);
    }
    return entry;
  }

  #sequence(map: YAMLMap, key: string): YAMLSeq {
    const held = map.get(key);
    if (isSeq(held)) return held;
    const made = new YAMLSeq();
    map.set(key, made);
    return made;
  }
}

/** Reads a declaration from JSON. @throws DeclarationFileError */
export const declarationOf = (json: JsonValue | undefined, name: string): DeploymentDeclaration => {
  try {
    return fromJson(DeploymentDeclarationSchema, json ?? {});
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DeclarationFileError(`${name} is no deployment declaration: ${why}`, cause);
  }
};

/** The ways to write a document; the one whose text is nearest to what was read is taken. */
const forms: readonly ToStringOptions[] = [true, false].flatMap((flowCollectionPadding) =>
  [true, false].flatMap((indentSeq) =>
    [2, 4].map((indent) => ({ flowCollectionPadding, indentSeq, indent, lineWidth: 0 })),
  ),
);

/** Sets a field under whichever of its two names it has; null takes it away. */
const put = (map: YAMLMap, key: string, value: unknown): void => {
  const snake = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const name = map.has(snake) ? snake : key;
  if (value === null) map.delete(name);
  else map.set(name, value);
};

const linesOf = (text: string): string[] => text.split("\n");

/**
 * The edited text with the lines of the original wherever they did not change, and added lines indented like those above.
 * @param written the original, as the library writes it: its lines answer to those of the original.
 */
const keepLines = (original: string, written: string, edited: string): string => {
  const lines = linesOf(original);
  if (linesOf(written).length !== lines.length) return edited;
  const isTight = !original.includes("[ ");
  let at = 0;
  let indent = 0;
  return lineDiff(linesOf(written), linesOf(edited))
    .flatMap(([what, line]) => {
      if (what === -1) {
        const moved = indent < 0 ? line.slice(Math.min(-indent, indentOf(line))) : " ".repeat(indent) + line;
        return isTight ? moved.replaceAll("[ {", "[{").replaceAll("} ]", "}]") : moved;
      }
      const own = lines[at++] ?? line;
      if (line.trim() !== "") indent = indentOf(own) - indentOf(line);
      return what === 0 ? own : [];
    })
    .join("\n");
};

const indentOf = (line: string): number => line.length - line.trimStart().length;
