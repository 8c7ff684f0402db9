import { create } from "@bufbuild/protobuf";
import { ModelPackageSchema, ProfileSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "./canonical-json.ts";
import { checkConfig, decodeManifest } from "./decode-package.ts";
import { deterministicBinary } from "./deterministic-binary.ts";
import { digestOf } from "./digest.ts";
import { encodePackage } from "./encode-package.ts";
import { brokenBySpecification } from "./model-spec-config.reference.ts";
import { expectReason } from "./model-store.contract.ts";
import { externalDataLimits } from "./package-content.ts";
import { samplePackage } from "./sample-package.fixture.ts";

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

describe("the artifact of a package", () => {
  // A change of this digest is a change of the format: every package trained again would get another one.
  test("has the digest that it always had", () => {
    expect(encodePackage(samplePackage()).manifest.descriptor.digest).toBe(
      "sha256:83640872778e100a53b091cd5c6b24484f5084440333bba6c30a35894b0fd3c3",
    );
  });

  test("is refused with more files with weights than a package may have", () => {
    const manifest = JSON.parse(text(encodePackage(samplePackage()).manifest.bytes));
    const weights = Array.from({ length: externalDataLimits.files + 1 }, (_, index) => ({
      ...manifest.layers[0],
      annotations: { "org.cncf.model.filepath": `weights/${index}` },
    }));
    const read = (count: number) => {
      const layers = [...manifest.layers, ...weights.slice(0, count)];
      return decodeManifest("flight_delay:v1", Buffer.from(JSON.stringify({ ...manifest, layers })));
    };
    expect(read(externalDataLimits.files).externalData.size).toBe(externalDataLimits.files);
    expect(() => read(externalDataLimits.files + 1)).toThrow(/at most 4096 files with weights, got 4097/);
  });

  test("does not depend on the order of map entries", () => {
    const shuffled = samplePackage();
    const column = shuffled.baseline.days[0]?.profile?.columns[0];
    if (column === undefined) {
      throw new Error("The sample has no column.");
    }
    column.unseen = { "7": 1n, CA: 1n, TX: 1n };
    expect(encodePackage(shuffled)).toEqual(encodePackage(samplePackage()));
  });

  test("is the manifest that the OCI and model specifications describe", () => {
    const { manifest, blobs } = encodePackage(samplePackage());
    const parsed = JSON.parse(text(manifest.bytes));
    expect(Object.keys(parsed)).toEqual(["artifactType", "config", "layers", "mediaType", "schemaVersion"]);
    expect(parsed.artifactType).toBe("application/vnd.cncf.model.manifest.v1+json");
    expect(
      parsed.layers.map((layer: { mediaType: string; annotations: Record<string, string> }) => [
        layer.annotations["org.cncf.model.filepath"],
        layer.mediaType,
      ]),
    ).toEqual([
      ["model.onnx", "application/vnd.cncf.model.weight.v1.raw"],
      ["millrace.json", "application/vnd.cncf.model.weight.config.v1.raw"],
      ["baseline.binpb", "application/vnd.cncf.model.weight.config.v1.raw"],
      ["golden.binpb", "application/vnd.cncf.model.weight.config.v1.raw"],
      ["README.md", "application/vnd.cncf.model.doc.v1.raw"],
    ]);
    const config = JSON.parse(text(blobs.at(-1)?.bytes));
    expect(config).toEqual({
      descriptor: {
        name: "flight_delay",
        description: "Whether a flight lands more than 15 minutes late.",
        revision: "0123abc",
        createdAt: "2001-02-01T00:00:00.500Z",
      },
      config: { format: "onnx" },
      modelfs: { type: "layers", diffIds: parsed.layers.map((layer: { digest: string }) => layer.digest) },
    });
  });

  test("has a config that the model specification allows, whatever is known of the model", () => {
    const content = samplePackage();
    const bare = { manifest: create(ModelPackageSchema, { name: "bare" }), model: content.model };
    for (const one of [content, bare]) {
      const { blobs } = encodePackage(one);
      expect(brokenBySpecification(JSON.parse(text(blobs.at(-1)?.bytes)))).toEqual([]);
    }
    const wrong = { descriptor: { name: "", ours: 1 }, modelfs: { type: "tar", diffIds: [] } };
    expect(brokenBySpecification(wrong)).toEqual([
      "artifact.config",
      "descriptor.name",
      "descriptor.ours",
      "modelfs.type",
      "modelfs.diffIds",
    ]);
  });

  test("is refused without a name or without a model", async () => {
    const content = samplePackage();
    const unnamed = { ...content, manifest: { ...content.manifest, name: "" } };
    await expectReason(
      Promise.try(() => encodePackage(unnamed)),
      "FIELD_INVALID",
      "INVALID_ARGUMENT",
    );
    const empty = samplePackage({ model: new Uint8Array() });
    await expectReason(
      Promise.try(() => encodePackage(empty)),
      "FIELD_INVALID",
      "INVALID_ARGUMENT",
    );
  });
});

describe("files with weights of the model", () => {
  const encoded = (...paths: string[]) =>
    encodePackage(samplePackage({ externalData: new Map(paths.map((path) => [path, new Uint8Array([1])])) }));

  test("are layers of their own, in the order of their paths", () => {
    const { manifest } = encoded("w/b", "w/a");
    expect(encoded("w/a", "w/b")).toEqual(encoded("w/b", "w/a"));
    const decoded = decodeManifest("flight_delay", manifest.bytes);
    expect([...decoded.externalData.keys()]).toEqual(["w/a", "w/b"]);
    expect(decoded.files.size).toBe(5);
    expect(decoded.layers.at(-1)).toMatchObject({ mediaType: "application/vnd.cncf.model.weight.v1.raw", size: 1 });
  });

  test("are refused by name where a path leaves the package, comes twice or is one of its own files", async () => {
    const composed = "caf\u00e9";
    for (const paths of [
      ["/etc/passwd"],
      ["../x"],
      ["a/../x"],
      ["./x"],
      ["a//x"],
      ["a\\..\\x"],
      ["C:x"],
      [""],
      ["a\0b"],
      ["x".repeat(256)],
      ["README.md"],
      ["Model.ONNX"],
      ["a", "A"],
      [composed, composed.normalize("NFD")],
    ]) {
      const call = Promise.try(() => encoded(...paths));
      const error = await expectReason(call, "FIELD_INVALID", "INVALID_ARGUMENT");
      expect(paths.some((path) => error.message.endsWith(`got ${JSON.stringify(path)}.`))).toBe(true);
    }
  });
});

describe("canonical JSON", () => {
  test("sorts keys at every depth and has no spaces", () => {
    expect(canonicalJson({ b: [1, { z: null, a: "é\n" }], a: 1e21 })).toBe('{"a":1e+21,"b":[1,{"a":"é\\n","z":null}]}');
  });

  test("refuses numbers that JSON cannot hold", () => {
    expect(() => canonicalJson([Number.NaN])).toThrow(TypeError);
  });
});

test("deterministic protobuf leaves out unknown fields and keeps the message as it is", () => {
  const profile = create(ProfileSchema, { rows: 3n });
  profile.$unknown = [{ no: 99, wireType: 0, data: new Uint8Array([1]) }];
  expect(deterministicBinary(ProfileSchema, profile)).toEqual(new Uint8Array([8, 3]));
  expect(profile.$unknown).toHaveLength(1);
});

describe("reading the manifest of a package", () => {
  interface Layer {
    digest: string;
    size: number;
    mediaType: string;
    annotations: Record<string, string>;
  }
  const changed = (change: (manifest: { artifactType: string; config: Layer; layers: Layer[] }) => void) => {
    const manifest = JSON.parse(text(encodePackage(samplePackage()).manifest.bytes));
    change(manifest);
    return () => decodeManifest("flight_delay", new TextEncoder().encode(JSON.stringify(manifest)));
  };
  const everyLayer = (change: (layer: Layer) => void) => changed(({ layers }) => layers.forEach(change));
  const rename = (path: string) =>
    changed(({ layers }) => {
      const last = layers.at(-1);
      if (last !== undefined) {
        last.annotations["org.cncf.model.filepath"] = path;
      }
    });

  test("refuses file paths that leave the package or come twice", async () => {
    for (const path of ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "C:x", "", "Model.onnx", "a\0b"]) {
      await expectReason(Promise.try(rename(path)), "PACKAGE_CORRUPT", "FAILED_PRECONDITION");
    }
    expect(rename("docs/card.md")().files.size).toBe(4);
  });

  test("ignores layers whose type it does not know", () => {
    const decoded = changed(({ layers }) =>
      layers.push({ ...(layers[0] as Layer), mediaType: "application/x", annotations: {} }),
    );
    expect(decoded().files.size).toBe(5);
  });

  test("refuses what is no package of ours", async () => {
    const cases = [
      changed((manifest) => (manifest.artifactType = "application/vnd.other")),
      changed(({ config }) => (config.mediaType = "application/vnd.other")),
      changed(({ layers }) => layers.splice(0, 1)),
      changed(({ layers }) => layers.splice(1, 1)),
      everyLayer((layer) => {
        layer.digest = "md5:00";
      }),
      everyLayer((layer) => {
        layer.size = -1;
      }),
      () => decodeManifest("flight_delay", new TextEncoder().encode("[]")),
      () => decodeManifest("flight_delay", new TextEncoder().encode("{")),
    ];
    for (const refused of cases) {
      await expectReason(Promise.try(refused), "PACKAGE_CORRUPT", "FAILED_PRECONDITION");
    }
  });

  test("refuses parts that are larger than their limit", async () => {
    const huge = everyLayer((layer) => {
      layer.size = 3 * 1024 ** 3;
    });
    await expectReason(Promise.try(huge), "TOO_LARGE", "RESOURCE_EXHAUSTED");
  });

  test("refuses a config whose diffIds are not the layers", async () => {
    const { layers } = changed(() => undefined)();
    const config = (diffIds: string[]) =>
      new TextEncoder().encode(JSON.stringify({ modelfs: { type: "layers", diffIds } }));
    checkConfig("flight_delay", config(layers.map(({ digest }) => digest)), layers);
    const other = config([digestOf(new Uint8Array()), ...layers.slice(1).map(({ digest }) => digest)]);
    await expectReason(
      Promise.try(() => checkConfig("flight_delay", other, layers)),
      "PACKAGE_CORRUPT",
      "FAILED_PRECONDITION",
    );
  });
});
