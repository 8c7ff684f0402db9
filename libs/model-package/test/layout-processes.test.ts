import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../src/digest.ts";
import { expectReason } from "../src/model-store.contract.ts";
import type { ModelStore } from "../src/model-store.ts";
import { openModelStore } from "../src/open-model-store.ts";
import { samplePackage } from "../src/sample-package.fixture.ts";

const push = (url: string, name: string, count: number) =>
  spawn(process.execPath, [join(import.meta.dirname, "push-forever.ts"), url, name, String(count)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "--conditions=@millrace/source" },
  });

describe("a layout in a folder", () => {
  let folder = "";
  let store: ModelStore;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-layout-"));
    store = await openModelStore(`oci:${folder}`);
  });
  afterEach(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });

  test("loses no tag when two processes push at once", async () => {
    const count = 15;
    const processes = [push(store.url, "a", count), push(store.url, "b", count)];
    const exits = await Promise.all(processes.map((process) => once(process, "exit")));
    expect(exits.map(([code]) => code)).toEqual([0, 0]);
    const numbers = Array.from({ length: count }, (_, number) => number);
    const expected = ["a", "b"].flatMap((name) => numbers.map((number) => `${name}-${number}`));
    expect(await store.tags("flight_delay")).toEqual([...expected, "latest"].sort());
  });

  test("has only whole packages behind its tags after a process was killed in the middle of a push", async () => {
    const killed = push(store.url, "killed", 1_000_000);
    for await (const _ of killed.stdout) {
      break;
    }
    killed.kill("SIGKILL");
    await once(killed, "close");
    const tags = await store.tags("flight_delay");
    expect(tags.length).toBeGreaterThan(1);
    for (const tag of tags) {
      await store.pull(`flight_delay:${tag}`, ["model", "baseline", "golden", "card"]);
    }
    // The killed process may have held the lock: it is taken over once it is stale.
    await store.push("flight_delay", samplePackage(), ["after"]);
    expect(await store.tags("flight_delay")).toEqual([...tags, "after"].sort());
  }, 30_000);

  test("leaves no temporary files, and is a layout by its specification", async () => {
    const { digest } = await store.push("flight_delay", samplePackage(), ["candidate"]);
    const repository = join(folder, "flight_delay");
    expect((await readdir(repository)).sort()).toEqual([".uploads", "blobs", "index.json", "oci-layout"]);
    expect(await readdir(join(repository, ".uploads"))).toEqual([]);
    expect(await readFile(join(repository, "oci-layout"), "utf8")).toBe('{"imageLayoutVersion":"1.0.0"}');
    const index = JSON.parse(await readFile(join(repository, "index.json"), "utf8"));
    expect(index).toMatchObject({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [{ digest, annotations: { "org.opencontainers.image.ref.name": "candidate" } }],
    });
    for (const name of await readdir(join(repository, "blobs", "sha256"))) {
      expect(digestOf(await readFile(join(repository, "blobs", "sha256", name)))).toBe(`sha256:${name}`);
    }
  });

  test("is mended by pushing again what was damaged", async () => {
    const content = samplePackage();
    const { digest } = await store.push("flight_delay", content);
    await writeFile(join(folder, "flight_delay/blobs/sha256", digestOf(content.model).slice(7)), "damaged");
    await store.push("flight_delay", content);
    await store.pull(`flight_delay@${digest}`, ["model"]);
  });

  test("keeps what others wrote into its index", async () => {
    await store.push("flight_delay", samplePackage(), ["candidate"]);
    const path = join(folder, "flight_delay", "index.json");
    const index = JSON.parse(await readFile(path, "utf8"));
    const foreign = { mediaType: "application/x", digest: `sha512:${"0".repeat(128)}`, size: 1 };
    await writeFile(path, JSON.stringify({ ...index, manifests: [foreign, ...index.manifests] }));
    await store.push("flight_delay", samplePackage({ card: "another" }), ["candidate"]);
    expect(JSON.parse(await readFile(path, "utf8")).manifests).toContainEqual(foreign);
  });

  test("says which folder it cannot use", async () => {
    await writeFile(join(folder, "file"), "");
    const inFile = await openModelStore(`oci:${folder}/file`);
    await expectReason(inFile.push("flight_delay", samplePackage()), "FOLDER_UNUSABLE", "FAILED_PRECONDITION");
    await store.push("broken", samplePackage());
    await writeFile(join(folder, "broken", "index.json"), '{"manifests":');
    await expectReason(store.tags("broken"), "FOLDER_UNUSABLE", "FAILED_PRECONDITION");
  });
});

describe("a model store's URL", () => {
  test("is refused where it names no store", async () => {
    for (const url of [
      "",
      "oci:",
      "s3://bucket",
      "oci://user:secret@host/x",
      "oci://host/x?other=1",
      "oci://host/UPPER",
      "oci://",
    ]) {
      const error = await expectReason(openModelStore(url), "URL_INVALID", "INVALID_ARGUMENT");
      expect(error.message).not.toContain("secret");
    }
  });
});
