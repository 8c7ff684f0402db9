import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ArtifactStore } from "../src/artifact-store.ts";
import { digestOf } from "../src/digest.ts";
import { readBaseImage } from "../src/image/base-image.ts";
import { mediaTypes } from "../src/media-types.ts";
import { expectReason } from "../src/model-store.contract.ts";
import type { ModelStore } from "../src/model-store.ts";
import { openArtifactStore } from "../src/open-artifact-store.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";
import { type DockerRegistry, skipWithoutRegistry, startDockerRegistry } from "./docker-registry.ts";

const dockerTypes = {
  config: "application/vnd.docker.container.image.v1+json",
  layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
};

const architecture = process.arch === "x64" ? "amd64" : process.arch;
/** As root, or as a user who may make namespaces. */
const mayChroot = spawnSync("unshare", ["--map-root-user", "true"]).status === 0;

/** The programs that KServe's modelcar runs in an image, with the libraries that they need, as a tar archive. */
const shellArchive = (): Buffer => {
  const programs = ["sh", "ln", "ls", "sleep"].map((name) =>
    execFileSync("which", [name], { encoding: "utf8" }).trim(),
  );
  const libraries = programs.flatMap(
    (program) => execFileSync("ldd", [program], { encoding: "utf8" }).match(/\/\S+/g)?.map(String) ?? [],
  );
  const paths = [...new Set([...programs, ...libraries])].map((path) => path.replace(/^\/(usr\/)?/, ""));
  return execFileSync("tar", ["--create", "--gzip", "--dereference", "-C", "/usr", ...paths], {
    maxBuffer: 1024 ** 3,
  });
};

/** Puts an image into a store, for the given architectures, under docker's own media types as many images have them. */
const pushBase = async (artifacts: ArtifactStore, architectures: readonly string[]): Promise<void> => {
  const layer = shellArchive();
  const put = async (mediaType: string, bytes: Buffer) => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
    await artifacts.writeBlob("tools/shell", descriptor, bytes);
    return descriptor;
  };
  const manifests = [];
  for (const architecture of architectures) {
    const config = {
      architecture,
      os: "linux",
      config: { Entrypoint: ["/docker-entrypoint.sh"], Cmd: ["serve"], Env: ["PATH=/bin"] },
      rootfs: { type: "layers", diff_ids: [digestOf(gunzipSync(layer))] },
    };
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.dockerManifest,
        config: await put(dockerTypes.config, Buffer.from(JSON.stringify(config))),
        layers: [await put(dockerTypes.layer, layer)],
      }),
    );
    const descriptor = { mediaType: mediaTypes.dockerManifest, digest: digestOf(bytes), size: bytes.byteLength };
    await artifacts.writeManifest("tools/shell", { descriptor, bytes }, [`only-${architecture}`]);
    manifests.push({ ...descriptor, platform: { architecture, os: "linux" } });
  }
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.dockerIndex, manifests }));
  const descriptor = { mediaType: mediaTypes.dockerIndex, digest: digestOf(index), size: index.byteLength };
  await artifacts.writeManifest("tools/shell", { descriptor, bytes: index }, ["1"]);
};

describe.skipIf(skipWithoutRegistry)("the image of a package on a base image", () => {
  let registry: DockerRegistry;
  let store: ModelStore;
  let artifacts: ArtifactStore;
  let folder = "";
  const content = samplePackage();

  beforeAll(async () => {
    registry = await startDockerRegistry();
    store = await openModelStore(`oci://${registry.host}/team`);
    artifacts = await openArtifactStore(`oci://${registry.host}`);
    folder = mkdtempSync(join(tmpdir(), "millrace-base-"));
    await pushBase(artifacts, ["riscv64", "arm64", "amd64"]);
    await store.push("flight_delay", content, ["v1"]);
  });
  afterAll(async () => {
    await artifacts.close();
    await store.close();
    await registry.stop();
    rmSync(folder, { recursive: true });
  });

  const json = async (repository: string, descriptor: { digest: string; size: number; mediaType: string }) => {
    const digest = descriptor.digest as `sha256:${string}`;
    const isManifest = descriptor.mediaType === mediaTypes.manifest || descriptor.mediaType === mediaTypes.index;
    const bytes = isManifest
      ? await artifacts.readManifest(repository, digest, 1024 ** 2)
      : await artifacts.readBlob(repository, { ...descriptor, digest });
    return JSON.parse(Buffer.from(bytes ?? []).toString());
  };

  test("has the base's layers and settings, but not its program, for each platform that both have", async () => {
    const base = await readBaseImage(`oci://${registry.host}`, "tools/shell:1");
    const image = await store.pushImage("flight_delay:v1", ["v1-modelcar"], base);
    const index = await json("team/flight_delay", { digest: image.digest, size: 0, mediaType: mediaTypes.index });
    expect(index.annotations).toEqual({
      "io.millrace.package.digest": image.packageDigest,
      "org.opencontainers.image.base.digest": base.digest,
    });
    expect(index.manifests.map((one: { platform: unknown }) => one.platform)).toEqual([
      { architecture: "arm64", os: "linux" },
      { architecture: "amd64", os: "linux" },
    ]);
    for (const entry of index.manifests) {
      const manifest = await json("team/flight_delay", entry);
      expect(manifest.layers.map((layer: { mediaType: string }) => layer.mediaType)).toEqual([
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar",
      ]);
      const config = await json("team/flight_delay", manifest.config);
      expect(config).toMatchObject({ architecture: entry.platform.architecture, os: "linux" });
      expect(config.config).toEqual({ Env: ["PATH=/bin"] });
      expect(config.rootfs.diff_ids).toEqual([expect.any(String), manifest.layers[1].digest]);
    }
    expect(await store.pushImage("flight_delay:v1", [], base)).toEqual(image);
  });

  test.skipIf(!mayChroot)("runs what KServe's modelcar runs in it", async () => {
    const base = await readBaseImage(`oci://${registry.host}`, `tools/shell:only-${architecture}`);
    const { digest } = await store.pushImage("flight_delay:v1", [], base);
    const index = await json("team/flight_delay", { digest, size: 0, mediaType: mediaTypes.index });
    expect(index.manifests).toHaveLength(1);
    const manifest = await json("team/flight_delay", index.manifests[0]);
    const root = join(folder, "root");
    mkdirSync(join(root, "mnt"), { recursive: true });
    for (const [at, layer] of manifest.layers.entries()) {
      const bytes = await artifacts.readBlob("team/flight_delay", layer);
      writeFileSync(join(folder, `layer-${at}.tar`), bytes ?? new Uint8Array());
      execFileSync("tar", ["--extract", "-f", join(folder, `layer-${at}.tar`), "-C", root]);
    }
    const inImage = (...words: string[]) =>
      spawnSync("unshare", ["--map-root-user", "chroot", root, ...words], {
        encoding: "utf8",
        env: { PATH: `/bin:${process.env.PATH}` },
      });
    const link = "ln -sf /models /mnt/models && sleep 0 && ls /mnt/models/flight_delay/1";
    expect(inImage("sh", "-c", link)).toMatchObject({ status: 0, stdout: "model.onnx\n", stderr: "" });
    const model = readFileSync(join(root, "models/flight_delay/1/model.onnx"));
    expect(Buffer.compare(model, content.model)).toBe(0);
  });

  test("is refused where the base is not there, for no such platform, or no image", async () => {
    const read = (reference: string) => readBaseImage(`oci://${registry.host}`, reference);
    await expectReason(read("tools/shell:2"), "PACKAGE_UNKNOWN", "NOT_FOUND");
    await expectReason(read(`tools/shell@sha256:${"0".repeat(64)}`), "PACKAGE_UNKNOWN", "NOT_FOUND");
    await expectReason(read("tools/shell:only-riscv64"), "PACKAGE_CORRUPT", "FAILED_PRECONDITION");
    await expectReason(read("team/flight_delay:v1"), "PACKAGE_CORRUPT", "FAILED_PRECONDITION");
    await expectReason(read("tools/shell"), "FIELD_INVALID", "INVALID_ARGUMENT");
  });

  test("may come from a layout", async () => {
    const layout = await openArtifactStore(`oci:${folder}/layout`);
    await pushBase(layout, ["amd64"]);
    await layout.close();
    const base = await readBaseImage(`oci:${folder}/layout`, "tools/shell:1");
    expect(base.platforms.map(({ architecture }) => architecture)).toEqual(["amd64"]);
  });
});
