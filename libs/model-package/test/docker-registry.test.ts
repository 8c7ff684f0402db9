import { describe } from "vitest";
import { modelStoreContract } from "../src/model-store.contract.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { openRegistryStore } from "../src/registry/registry-store.ts";
import { type DockerRegistry, skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";

describe.skipIf(skipWithoutRegistry)("with docker-registry", () => {
  let registry: DockerRegistry | undefined;

  modelStoreContract("an OCI registry", {
    reset: async () => {
      registry = await startDockerRegistry();
    },
    open: (options) => openModelStore(`oci://${registry?.host}/prefix/of/ours`, options),
    openArtifacts: () => openRegistryStore(`oci://${registry?.host}/prefix/of/ours`),
    damage: async (_repository, digest) => registry?.damage(digest),
    // This registry checks manifests itself and answers 500.
    damagedManifest: ["REGISTRY_UNAVAILABLE", "UNAVAILABLE"],
    close: async () => registry?.stop(),
  });
});
