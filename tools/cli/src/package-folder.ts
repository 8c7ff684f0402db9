import { randomUUID } from "node:crypto";
import { existsSync, realpathSync, statSync } from "node:fs";
import { mkdir, open, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
  create,
  type DescMessage,
  fromBinary,
  fromJsonString,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import {
  BaselineSchema,
  GoldenSchema,
  type ModelPackage,
  ModelPackageSchema,
} from "@millrace/contracts/millrace/model/v1/model_package";
import { MillraceError, Reason } from "@millrace/errors";
import type { ModelPackageReader, PackageContent } from "@millrace/model-package";

/** What a folder holds of a package, and which of its files are none of it. */
export interface ReadFolder {
  readonly content: PackageContent;
  readonly ignored: readonly string[];
}

/** Protobuf itself ends at 2 GiB. */
const modelLimitBytes = 2 ** 31 - 1;

/**
 * Reads what a package is made of from a folder: `model.onnx`, the files with weights that it names, and where they are
 * there `millrace.json`, `golden.json` or `golden.binpb`, `baseline.json` or `baseline.binpb`, and `README.md`. It is
 * what `writePackageFolder` writes: a package that was pulled and is pushed again has the same digest. An ONNX file in
 * place of a folder is a package of its own.
 *
 * Without `millrace.json` the model says its inputs and outputs by itself, and is called `name`.
 *
 * @throws MillraceError naming the file that cannot be read or is malformed; ModelInvalidError where the model is none.
 */
export const readPackageFolder = async (source: string, name: string): Promise<ReadFolder> => {
  const isFile = source.endsWith(".onnx") && existsSync(source) && statSync(source).isFile();
  const folder = isFile ? dirname(source) : source;
  const modelFile = isFile ? basename(source) : "model.onnx";
  const present = isFile ? new Set([modelFile]) : new Set(await listFolder(folder));
  if (!present.has(modelFile)) {
    throw new MillraceError("NOT_FOUND", Reason.MODEL_INVALID, `There is no ${modelFile} in ${folder}.`);
  }
  const model = await readWhole(join(folder, modelFile));
  // Loaded when it is needed: it brings a machine learning library along.
  const { describeModel, readModel } = await import("@millrace/onnx");
  const external = new Set<string>();
  const hasExternalFile = (path: string): boolean => {
    external.add(path);
    return isPathWithin(folder, path) && existsSync(join(folder, path)) && isFileWithin(folder, path);
  };
  const parsed = readModel(model, { maxBytes: modelLimitBytes, hasExternalFile });
  const used = new Set([modelFile, ...external]);
  const part = async <D extends DescMessage>(stem: string, schema: D): Promise<MessageShape<D> | undefined> => {
    const [text, binary] = [`${stem}.json`, `${stem}.binpb`];
    if (present.has(text) && present.has(binary)) {
      throw new MillraceError(
        "INVALID_ARGUMENT",
        Reason.FIELD_INVALID,
        `${folder} has both ${text} and ${binary}: which?`,
      );
    }
    for (const file of [text, binary].filter((one) => present.has(one))) {
      used.add(file);
      return parse(schema, join(folder, file), file === text);
    }
    return undefined;
  };
  const manifest: ModelPackage = present.has("millrace.json")
    ? await parse(ModelPackageSchema, join(folder, "millrace.json"), true)
    : create(ModelPackageSchema, { name, signature: describeModel(parsed) });
  const externalData = new Map<string, Uint8Array>();
  for (const path of external) {
    externalData.set(path, await readWhole(join(folder, path)));
  }
  const [golden, baseline] = [await part("golden", GoldenSchema), await part("baseline", BaselineSchema)];
  const card = present.has("README.md")
    ? new TextDecoder().decode(await readWhole(join(folder, "README.md")))
    : undefined;
  const known = new Set([...used, "millrace.json", "README.md"]);
  return {
    content: { manifest, model, externalData, golden, baseline, card },
    ignored: [...present].filter(
      (file) => !known.has(file) && ![...external].some((path) => path.startsWith(`${file}/`)),
    ),
  };
};

/**
 * Writes a package's files into a folder that is not there yet, or empty: all of them or none.
 *
 * @throws MillraceError naming the folder where it holds something or cannot be written.
 */
export const writePackageFolder = async (
  reader: ModelPackageReader,
  target: string,
  signal?: AbortSignal,
): Promise<void> => {
  const folder = resolve(target);
  if (existsSync(folder) && (!statSync(folder).isDirectory() || (await readdir(folder)).length > 0)) {
    throw new MillraceError("ALREADY_EXISTS", Reason.FOLDER_UNUSABLE, `${target} is there already and not empty.`);
  }
  // Read before anything is written: what does not come whole is not written at all.
  const [model, golden, baseline, card] = [
    await reader.model(signal),
    await reader.golden(signal),
    await reader.baseline(signal),
    await reader.card(signal),
  ];
  const files = new Map<string, Uint8Array | string>([
    ["model.onnx", model],
    ...(await reader.externalData(signal)),
    ["millrace.json", `${toJsonString(ModelPackageSchema, reader.manifest, { prettySpaces: 2 })}\n`],
    ...(golden === undefined ? [] : [["golden.binpb", toBinary(GoldenSchema, golden)] as const]),
    ...(baseline === undefined ? [] : [["baseline.binpb", toBinary(BaselineSchema, baseline)] as const]),
    ...(card === undefined ? [] : [["README.md", card] as const]),
  ]);
  let temporary: string | undefined;
  try {
    await mkdir(dirname(folder), { recursive: true });
    // Beside the target, so that the whole folder comes by one rename.
    temporary = join(dirname(folder), `.${basename(folder)}-${randomUUID()}`);
    await mkdir(temporary);
    for (const [path, bytes] of files) {
      await mkdir(dirname(join(temporary, path)), { recursive: true });
      await writeFile(join(temporary, path), bytes);
    }
    if (existsSync(folder)) await rmdir(folder);
    await rename(temporary, folder);
  } catch (cause) {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
    throw unusable(target, cause);
  }
};

const listFolder = async (folder: string): Promise<string[]> => {
  try {
    return await readdir(folder);
  } catch (cause) {
    throw unusable(folder, cause);
  }
};

const isPathWithin = (folder: string, path: string): boolean => resolve(folder, path).startsWith(`${resolve(folder)}/`);

/** Where links lead: a model from elsewhere must not pick files of this machine. @throws MillraceError */
const isFileWithin = (folder: string, path: string): true => {
  if (isPathWithin(realpathSync(folder), realpathSync(join(folder, path)))) return true;
  throw new MillraceError(
    "INVALID_ARGUMENT",
    Reason.MODEL_INVALID,
    `${join(folder, path)} is a link out of the folder: files with weights must lie within ${folder}.`,
  );
};

/** In pieces: Node reads a file of more than 2 GiB only so. */
const readWhole = async (path: string): Promise<Uint8Array> => {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      const bytes = new Uint8Array(size);
      for (let offset = 0; offset < size; ) {
        const { bytesRead } = await file.read(bytes, offset, Math.min(size - offset, 64 * 1024 ** 2), offset);
        if (bytesRead === 0) throw new Error("the file became shorter while it was read");
        offset += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw unusable(path, cause);
  }
};

const parse = async <D extends DescMessage>(schema: D, path: string, isText: boolean): Promise<MessageShape<D>> => {
  const bytes = await readWhole(path);
  try {
    return isText ? fromJsonString(schema, new TextDecoder().decode(bytes)) : fromBinary(schema, bytes);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const form = `${schema.typeName} as protobuf ${isText ? "JSON" : "binary"}`;
    throw new MillraceError("INVALID_ARGUMENT", Reason.FIELD_INVALID, `${path} is no ${form}: ${why}`, { cause });
  }
};

const unusable = (path: string, cause: unknown): MillraceError => {
  const why = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  const full = why === "ENOSPC" || why === "EDQUOT";
  const what = full ? `its disk is full (${why})` : why;
  const code = full ? "RESOURCE_EXHAUSTED" : "FAILED_PRECONDITION";
  return new MillraceError(code, Reason.FOLDER_UNUSABLE, `${path} cannot be used: ${what}.`, { cause });
};
