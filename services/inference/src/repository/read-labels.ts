import { promises as files } from "node:fs";
import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import { ModelInvalidError } from "@millrace/tensor";
import { containedFile } from "./contained-file.ts";

const maxBytes = 16 * 1024 ** 2;

/**
 * The names of classes by output, from the label files that a configuration names: one name a line.
 * @param folder the model's. @param boundary the folder that files must not lie outside of.
 * @throws ModelInvalidError
 */
export const readLabels = async (
  { output }: ModelConfig,
  folder: string,
  boundary: string,
): Promise<ReadonlyMap<string, readonly string[]>> => {
  const labels = new Map<string, readonly string[]>();
  for (const { name, labelFilename } of output) {
    if (labelFilename === "") continue;
    const path = await containedFile(boundary, folder, labelFilename, `label file of the output ${name}`);
    const { size } = await files.stat(path);
    if (size > maxBytes) {
      throw new ModelInvalidError(`The label file ${labelFilename} has ${size} bytes; at most ${maxBytes} are read.`);
    }
    const lines = (await files.readFile(path, "utf8")).split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    labels.set(name, lines);
  }
  return labels;
};
