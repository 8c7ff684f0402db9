import { promises as files } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type ModelConfig, ModelConfigSchema } from "@millrace/contracts/inference/model_config";
import { ModelInvalidError } from "@millrace/tensor";
import { isEnsemble } from "../config/check-model-config.ts";
import { containedFile } from "../contained-file.ts";
import { fingerprint, ifThere } from "../fingerprint.ts";
import { type FoundModel, type FoundVersion, fileOrigin } from "../found-model.ts";
import { parseTextFormat } from "../text-format/parse-text-format.ts";

const maxConfigBytes = 1024 ** 2;

/** Whether a folder's name is a version. Those that begin with 0 are none, as in Triton. */
export const isVersion = (name: string): boolean => /^[1-9]\d{0,17}$/.test(name);

/**
 * A model in the layout of Triton's model repository: `NAME/<version>/model.onnx`, and `NAME/config.pbtxt` where it has
 * one.
 */
export const tritonFolder = async (source: string, path: string): Promise<FoundModel> => {
  const name = basename(path);
  return {
    name,
    source,
    path,
    fingerprint: await fingerprint(path),
    open: async (override) => {
      const config = override ?? (await readConfig(path));
      const filename = config?.defaultModelFilename || "model.onnx";
      const entries = (await files.readdir(path)).sort();
      const versions = entries.filter(isVersion);
      const others = entries.filter((entry) => !isVersion(entry));
      const ensemble = config !== undefined && isEnsemble(config);
      return {
        config,
        folder: path,
        boundary: source,
        fingerprint: (await Promise.all(others.map((entry) => fingerprint(join(path, entry))))).join("\n"),
        versions: await Promise.all(
          versions.map(async (version): Promise<FoundVersion> => {
            const file = join(path, version, filename);
            return {
              version,
              reference: ensemble ? join(path, version) : file,
              fingerprint: await fingerprint(join(path, version)),
              read: async () => {
                const real = await containedFile(source, join(path, version), filename, `file of the model ${name}`);
                return {
                  model: await files.readFile(real),
                  externalDataFolder: dirname(real),
                  origin: fileOrigin(file),
                };
              },
            };
          }),
        ),
      };
    },
  };
};

/** @throws TextFormatError, ModelInvalidError */
const readConfig = async (folder: string): Promise<ModelConfig | undefined> => {
  const path = join(folder, "config.pbtxt");
  const stat = await ifThere(files.stat(path));
  if (stat === undefined) return undefined;
  if (stat.size > maxConfigBytes) {
    throw new ModelInvalidError(`${path} has ${stat.size} bytes; at most ${maxConfigBytes} are read.`);
  }
  return parseTextFormat(ModelConfigSchema, join(basename(folder), "config.pbtxt"), await files.readFile(path, "utf8"));
};
