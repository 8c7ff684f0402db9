import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** NVIDIA's public client, in a virtual environment beside the backing servers: made once, not checked in. */
const release = "2.62.0";
const environment = fileURLToPath(new URL("../../../.backing/tritonclient", import.meta.url));
const python = `${environment}/bin/python`;

/** The release that the environment has, where it has what both protocols need; empty otherwise. */
const installed = (): string => {
  const program = `from importlib import metadata as m, util
found = all(util.find_spec(name) for name in ["tritonclient", "grpc", "geventhttpclient"])
print(m.version("tritonclient") if found else "")`;
  return execFileSync(python, ["-c", program], { encoding: "utf8" }).trim();
};

/** Why the client cannot be had here; undefined where it is there. */
const install = (): string | undefined => {
  try {
    if (!existsSync(python)) execFileSync("python3", ["-m", "venv", environment], { stdio: "pipe" });
    if (installed() === release) return undefined;
    execFileSync(python, ["-m", "pip", "install", "--quiet", `tritonclient[grpc,http]==${release}`], {
      stdio: "pipe",
      timeout: 240_000,
    });
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  }
};

/** Why the client's tests are skipped; undefined where they run. In CI they always do. */
export const tritonMissing = install();
if (tritonMissing !== undefined && process.env.CI === "true")
  throw new Error(`The Triton client cannot be installed: ${tritonMissing}`);

/** Runs a script of `test/triton` on a service. @throws where an assertion of it fails. */
export const runTritonScript = async (script: string, ...words: readonly string[]): Promise<void> => {
  const path = fileURLToPath(new URL(`./triton/${script}`, import.meta.url));
  await promisify(execFile)(python, [path, ...words], { timeout: 60_000 });
};
