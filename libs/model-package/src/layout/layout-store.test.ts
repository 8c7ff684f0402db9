import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelStoreContract } from "../model-store.contract.ts";
import { openModelStore } from "../open-model-store.ts";
import { openLayoutStore } from "./layout-store.ts";

let folder = "";

modelStoreContract("an OCI image layout", {
  reset: async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-layout-"));
  },
  open: (options) => openModelStore(`oci:${folder}`, options),
  openArtifacts: () => openLayoutStore(folder),
  damage: async (repository, digest) => {
    const path = join(folder, repository, "blobs", "sha256", digest.slice("sha256:".length));
    const bytes = await readFile(path);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await writeFile(path, bytes);
  },
  close: () => rm(folder, { recursive: true }),
});
