import { readFile, stat } from "node:fs/promises";
import { TrainerFailedError } from "./trainer-failed-error.ts";

const field = "MILLRACE_OUTPUT/metrics.json";
const mostBytes = 1024 * 1024;

/**
 * What a program says of its own model: an object of numbers. It is shown, and no gate reads it.
 * @returns undefined where there is no file. @throws TrainerFailedError for one that is something else.
 */
export const readReportedMetrics = async (path: string): Promise<Readonly<Record<string, number>> | undefined> => {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  const refuse = (got: string): TrainerFailedError =>
    new TrainerFailedError(field, `${field}: expected an object of numbers, got ${got}.`);
  if (!found.isFile() || found.size > mostBytes) throw refuse(`${found.size} bytes`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw refuse(JSON.stringify(parsed).slice(0, 60));
  return Object.fromEntries(
    Object.entries(parsed).map(([name, value]) => {
      if (typeof value !== "number") throw refuse(`${JSON.stringify(value)} for ${name}`);
      return [name, value];
    }),
  );
};
