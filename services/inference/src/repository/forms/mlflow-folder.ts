import { promises as files } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ModelInvalidError } from "@millrace/tensor";
import { parse } from "yaml";
import { z } from "zod";
import { containedFile } from "../contained-file.ts";
import { fingerprint } from "../fingerprint.ts";
import { type FoundModel, fileOrigin } from "../found-model.ts";

/** The parts of MLflow's `MLmodel` that say where its ONNX model lies. Everything else is left to MLflow. */
const mlmodel = z.object({
  flavors: z.record(z.string(), z.unknown()),
});
const onnxFlavor = z.object({ data: z.string().min(1) });

const maxBytes = 1024 ** 2;

/** A folder that MLflow's `onnx.save_model` wrote: an `MLmodel` that names the file of the flavour `onnx`. Version 1. */
export const mlflowFolder = async (source: string, path: string): Promise<FoundModel> => {
  const name = basename(resolve(path));
  const seen = await fingerprint(path);
  return {
    name,
    source,
    path,
    fingerprint: seen,
    open: async (config) => {
      const data = await modelPath(path);
      return {
        config,
        folder: path,
        boundary: path,
        fingerprint: "",
        versions: [
          {
            version: "1",
            reference: join(path, data),
            fingerprint: seen,
            read: async () => {
              const real = await containedFile(path, path, data, `file of the model ${name}`);
              return {
                model: await files.readFile(real),
                externalDataFolder: dirname(real),
                origin: fileOrigin(join(path, data)),
              };
            },
          },
        ],
      };
    },
  };
};

/** Where the ONNX file lies in the folder. @throws ModelInvalidError */
const modelPath = async (folder: string): Promise<string> => {
  const path = join(folder, "MLmodel");
  const { size } = await files.stat(path);
  if (size > maxBytes) throw new ModelInvalidError(`${path} has ${size} bytes; at most ${maxBytes} are read.`);
  let content: unknown;
  try {
    content = parse(await files.readFile(path, "utf8"));
  } catch (cause) {
    throw new ModelInvalidError(`${path} is no YAML.`, cause);
  }
  const model = mlmodel.safeParse(content);
  if (!model.success) throw new ModelInvalidError(`${path} is no MLflow model: it has no flavors.`);
  const { flavors } = model.data;
  const flavor = onnxFlavor.safeParse(flavors.onnx);
  if (flavor.success) return flavor.data.data;
  const names = Object.keys(flavors).join(", ");
  throw new ModelInvalidError(
    flavors.onnx === undefined
      ? `${path} has no flavour onnx, only ${names}: models of other flavours are not served.`
      : `${path}: the flavour onnx names no file (data).`,
  );
};
