import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/** A virtual environment of Python, made once beside the backing servers: packages of different peers do not agree. */
export interface PythonEnvironment {
  readonly folder: string;
  readonly python: string;
}

const root = join(import.meta.dirname, "../../../../.backing/peers");
const run = promisify(execFile);

/**
 * Has an environment in which exactly these requirements were installed.
 * @param requirements as pip takes them, each with its version. @throws what venv or pip says.
 */
export const pythonEnvironment = async (name: string, requirements: readonly string[]): Promise<PythonEnvironment> => {
  const folder = join(root, name);
  const python = join(folder, "bin/python");
  const installed = join(folder, "installed.txt");
  const wanted = `${requirements.join("\n")}\n`;
  if (existsSync(installed) && readFileSync(installed, "utf8") === wanted) return { folder, python };
  console.log(`${name}: installs ${requirements.join(", ")}`);
  await run("python3", ["-m", "venv", "--clear", folder]);
  await run(python, ["-m", "pip", "install", "--quiet", ...requirements], { timeout: 900_000 });
  writeFileSync(installed, wanted);
  return { folder, python };
};
