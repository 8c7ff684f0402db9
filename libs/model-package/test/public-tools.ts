import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Programs of others that must read what we write. They are built by Go into the ignored folder `.backing/bin`, once, by
 * `nx run model-package:install-tools`. That takes minutes, oras about two and cosign about ten, so it is no part of the
 * gate: without them their tests are skipped, by name.
 */
export const publicTools = {
  oras: { version: "v1.3.6", go: "oras.land/oras/cmd/oras" },
  cosign: { version: "v3.1.3", go: "github.com/sigstore/cosign/v3/cmd/cosign" },
} as const;

export type PublicTool = keyof typeof publicTools;

const folder = join(import.meta.dirname, "../../../.backing/bin");

/** Where a tool is, if it was installed. */
export const toolPath = (name: PublicTool): string => join(folder, `${name}-${publicTools[name].version}`);

export const hasTool = (name: PublicTool): boolean => existsSync(toolPath(name));

export const installTool = (name: PublicTool): void => {
  if (hasTool(name)) {
    return;
  }
  const { go, version } = publicTools[name];
  mkdirSync(folder, { recursive: true });
  // Beside the target, so that the finished program comes by rename and never half.
  const temporary = mkdtempSync(join(folder, `install-${name}-`));
  try {
    execFileSync("go", ["install", "-trimpath", "-ldflags=-s -w", `${go}@${version}`], {
      env: { ...process.env, GOBIN: temporary },
      stdio: "inherit",
    });
    renameSync(join(temporary, name), toolPath(name));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
};
