import { type Dirent, promises as files } from "node:fs";
import { basename, join, resolve } from "node:path";
import { MillraceError, Reason } from "@millrace/errors";
import { ModelInvalidError } from "@millrace/tensor";
import { ifThere } from "./fingerprint.ts";
import { mlflowFolder } from "./forms/mlflow-folder.ts";
import { ociLayout } from "./forms/oci-layout.ts";
import { onnxFile } from "./forms/onnx-file.ts";
import { isVersion, tritonFolder } from "./forms/triton-folder.ts";
import type { FoundModel } from "./found-model.ts";

/**
 * Finds the models of the sources. A source is a folder of models in any of the forms, or one model: an MLflow folder or
 * an OCI image layout. A name that is found twice belongs to nobody: opening it says where it was found.
 *
 *     source/NAME.onnx                      a bare file
 *     source/NAME/<version>/model.onnx      Triton's repository, with NAME/config.pbtxt where there is one
 *     source/NAME/MLmodel                   MLflow, also as source/MLmodel
 *     source/NAME/oci-layout                an OCI image layout, also as source/oci-layout
 *
 * @returns by name.
 * @throws MillraceError where a source cannot be read.
 */
export const findModels = async (sources: readonly string[]): Promise<ReadonlyMap<string, FoundModel>> => {
  const found = new Map<string, FoundModel>();
  for (const source of sources) {
    for (const model of await findInSource(source)) {
      const other = found.get(model.name);
      found.set(model.name, other === undefined ? model : ambiguous(other, model));
    }
  }
  return found;
};

const findInSource = async (source: string): Promise<FoundModel[]> => {
  let entries: Dirent[];
  try {
    entries = await files.readdir(source, { withFileTypes: true });
  } catch (cause) {
    throw new MillraceError(
      "FAILED_PRECONDITION",
      Reason.FOLDER_UNUSABLE,
      `The folder of models ${source} cannot be read.`,
      { cause },
    );
  }
  const names = new Set(entries.map(({ name }) => name));
  if (names.has("MLmodel")) return [await readable(source, source, () => mlflowFolder(source, source))];
  if (names.has("oci-layout")) return [await readable(source, source, () => ociLayout(source, source))];
  const found: FoundModel[] = [];
  for (const name of [...names].sort()) {
    if (name.startsWith(".")) continue;
    const model = await readable(source, join(source, name), () => findAt(source, name));
    if (model !== undefined) found.push(model);
  }
  return found;
};

const findAt = async (source: string, name: string): Promise<FoundModel | undefined> => {
  const path = join(source, name);
  const stat = await ifThere(files.stat(path));
  if (stat === undefined) return undefined;
  if (!stat.isDirectory()) return name.endsWith(".onnx") && name !== ".onnx" ? await onnxFile(source, path) : undefined;
  const inside = (await ifThere(files.readdir(path))) ?? [];
  if (inside.includes("oci-layout")) return await ociLayout(source, path);
  if (inside.includes("MLmodel")) return await mlflowFolder(source, path);
  if (inside.includes("config.pbtxt") || inside.some(isVersion)) return await tritonFolder(source, path);
  return undefined;
};

/** One that cannot be read hides none of the others: opening it says why. */
const readable = async <T extends FoundModel | undefined>(
  source: string,
  path: string,
  find: () => Promise<T>,
): Promise<T | FoundModel> => {
  try {
    return await find();
  } catch (cause) {
    return {
      name: basename(resolve(path)).replace(/\.onnx$/, ""),
      source,
      path,
      fingerprint: String(cause),
      open: async () => {
        if (cause instanceof MillraceError) throw cause;
        throw new ModelInvalidError(`${path} cannot be read.`, cause);
      },
    };
  }
};

const ambiguous = (one: FoundModel, other: FoundModel): FoundModel => ({
  name: one.name,
  source: one.source,
  path: `${one.path} and ${other.path}`,
  fingerprint: `${one.fingerprint}\n${other.fingerprint}`,
  open: async () => {
    throw new ModelInvalidError(`The model ${one.name} is there twice: ${one.path} and ${other.path}.`);
  },
});
