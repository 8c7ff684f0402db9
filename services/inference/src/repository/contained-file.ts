import { promises as files } from "node:fs";
import { join, relative, sep } from "node:path";
import { ModelInvalidError } from "@millrace/tensor";

/**
 * The real path of a file that something inside of a folder names, followed through links: those of a mounted volume
 * stay within it.
 * @param boundary the folder that it must not leave. @param what how an error calls the file.
 * @throws ModelInvalidError where there is no such file, or it lies elsewhere.
 */
export const containedFile = async (boundary: string, folder: string, path: string, what: string): Promise<string> => {
  let real: string;
  try {
    real = await files.realpath(join(folder, path));
  } catch (cause) {
    throw new ModelInvalidError(`There is no ${what} ${path}.`, cause);
  }
  const way = relative(await files.realpath(boundary), real);
  if (way === ".." || way.startsWith(`..${sep}`)) {
    throw new ModelInvalidError(`The ${what} ${path} lies outside of the folder of its model.`);
  }
  if (!(await files.stat(real)).isFile()) throw new ModelInvalidError(`The ${what} ${path} is no file.`);
  return real;
};
