// Pushes more than fits into a file system of 1 MiB, and tells what is left: a program of disk-full.test.ts.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError } from "@millrace/errors";
import { digestOf } from "../src/digest.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";

const mountPoint = process.argv[2] ?? "";
execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", mountPoint]);
const store = await openModelStore(`oci:${mountPoint}/models`);
await store.push("flight_delay", samplePackage(), ["small"]);
const large = samplePackage({ model: randomBytes(2 * 1024 ** 2) });
const error = await store.push("flight_delay", large, ["small", "large"]).catch((thrown: unknown) => thrown);
const repository = join(mountPoint, "models", "flight_delay");
const blobs = join(repository, "blobs", "sha256");
const wrong: string[] = [];
for (const name of await readdir(blobs)) {
  if (digestOf(await readFile(join(blobs, name))) !== `sha256:${name}`) wrong.push(name);
}
const tags = await store.tags("flight_delay");
const pulled = await store.pull("flight_delay:small", ["model", "baseline", "golden", "card"]);
const uploads = await readdir(join(repository, ".uploads"));
execFileSync("mount", ["-o", "remount,size=8m", mountPoint]);
await store.push("flight_delay", large, ["large"]);
console.log(
  JSON.stringify({
    error:
      error instanceof MillraceError
        ? { name: error.name, code: error.code, reason: error.reasonName, message: error.message }
        : String(error),
    tags,
    uploads,
    wrong,
    pulled: (await pulled.model()).byteLength === samplePackage().model.byteLength,
    afterRoom: await store.tags("flight_delay"),
  }),
);
await store.close();
