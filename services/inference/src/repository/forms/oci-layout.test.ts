import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ModelStore, openModelStore } from "@millrace/model-package";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { scalePackage } from "../../../test/packages.ts";
import { ociLayout } from "./oci-layout.ts";

describe("an OCI layout", () => {
  let root = "";
  let store: ModelStore;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "millrace-oci-layout-"));
    store = await openModelStore(`oci:${root}`);
  });
  afterEach(async () => {
    await store.close();
    rmSync(root, { recursive: true });
  });

  const versions = async () => {
    const found = await ociLayout(root, join(root, "scale"));
    return (await found.open(undefined)).versions.map(({ version, reference }) => [version, reference]);
  };

  test("has the one package in it as version 1, whatever images of it lie beside", async () => {
    const { digest } = await store.push("scale", scalePackage(2), ["v1"]);
    await store.pushImage(`scale@${digest}`, ["v1-image", "production"]);
    expect(await versions()).toEqual([["1", "scale:v1"]]);
  });

  test("with several packages is refused by their tags, and by no image's", async () => {
    const { digest } = await store.push("scale", scalePackage(2), ["blue"]);
    await store.push("scale", scalePackage(3), ["green"]);
    await store.pushImage(`scale@${digest}`, ["blue-image"]);
    await expect(versions()).rejects.toThrow(/several packages.*got blue, green\./);
  });

  test("with an image only names no package", async () => {
    const { digest } = await store.push("scale", scalePackage(2));
    await store.pushImage(`scale@${digest}`, ["v1-image"]);
    await expect(versions()).rejects.toThrow(/has no tag that names a package/);
  });
});
