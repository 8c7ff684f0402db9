import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

/** A mount of our own, which no other process sees: as root, or as a user who may make namespaces. */
const inOwnMounts = (program: readonly string[]) =>
  spawnSync("unshare", ["--map-root-user", "--mount", ...program], {
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: "--conditions=@millrace/source" },
  });

const mayMount = inOwnMounts(["sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]).status === 0;

test.skipIf(!mayMount)("a full disk is a FOLDER_UNUSABLE that names the folder, and nothing half-written stays", () => {
  const script = join(import.meta.dirname, "fill-disk.ts");
  const { stdout, stderr, status } = inOwnMounts([process.execPath, script, "/mnt"]);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const told = JSON.parse(stdout);
  expect(told.error).toEqual({
    name: "FolderUnusableError",
    code: "RESOURCE_EXHAUSTED",
    reason: "FOLDER_UNUSABLE",
    message: "The model store's folder /mnt/models cannot be used: its disk is full (ENOSPC).",
  });
  expect(told.tags).toEqual(["small"]);
  expect(told.uploads).toEqual([]);
  expect(told.wrong).toEqual([]);
  expect(told.pulled).toBe(true);
  expect(told.afterRoom).toEqual(["large", "small"]);
});
