import { equals } from "@bufbuild/protobuf";
import { BaselineSchema, GoldenSchema, ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { MillraceError, reasonName } from "@millrace/errors";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ArtifactStore } from "./artifact-store.ts";
import { digestOf } from "./digest.ts";
import type { ModelStore } from "./model-store.ts";
import type { ModelStoreOptions } from "./open-model-store.ts";
import { promotionContract } from "./promotion/promotion.contract.ts";
import { samplePackage } from "./sample-package.fixture.ts";
import { signatureContract } from "./signing/signature.contract.ts";
import type { Transfer } from "./transfer.ts";

/** Opens and breaks a store for the contract. Each `open` after `reset` sees an empty store. */
export interface ModelStoreHarness {
  reset(): Promise<void>;
  open(options?: ModelStoreOptions): Promise<ModelStore>;
  /** The same store once more, as the port: to put into it what no package is. */
  openArtifacts(): ArtifactStore;
  /** Changes one byte of a stored blob, as a failing disk does. */
  damage(repository: string, digest: string): Promise<void>;
  /** What a damaged manifest is refused with, where the store itself refuses to give it out. */
  readonly damagedManifest?: readonly [reason: string, code: string];
  close(): Promise<void>;
}

const absent = `sha256:${"0".repeat(64)}`;

/** What every model store does, whatever it keeps its packages in. */
export const modelStoreContract = (kind: string, harness: ModelStoreHarness): void => {
  describe(`a model store in ${kind}`, { timeout: 30_000 }, () => {
    let store: ModelStore;
    let artifacts: ArtifactStore;

    beforeEach(async () => {
      await harness.reset();
      store = await harness.open();
      artifacts = harness.openArtifacts();
    });
    afterEach(async () => {
      await artifacts.close();
      await store.close();
      await harness.close();
    });

    describe("a pushed package", () => {
      test("comes back part by part", async () => {
        const content = samplePackage();
        const { digest } = await store.push("flight_delay", content, ["candidate"]);
        const pulled = await store.pull(`flight_delay@${digest}`);
        const [baseline, golden] = [await pulled.baseline(), await pulled.golden()];
        expect(pulled.reference).toBe(`flight_delay@${digest}`);
        expect(equals(ModelPackageSchema, pulled.manifest, content.manifest)).toBe(true);
        expect(Buffer.from(await pulled.model())).toEqual(Buffer.from(content.model));
        expect(baseline !== undefined && equals(BaselineSchema, baseline, content.baseline)).toBe(true);
        expect(golden !== undefined && equals(GoldenSchema, golden, content.golden)).toBe(true);
        expect(await pulled.card()).toBe(content.card);
      });

      test("may have weights in files beside the model", async () => {
        const [one, other] = [new Uint8Array([1, 2]), new Uint8Array([3])];
        const externalData = new Map([
          ["weights/b.bin", other],
          ["model.onnx.data", one],
        ]);
        const { digest } = await store.push("external", samplePackage({ externalData }));
        const pulled = await store.pull(`external@${digest}`);
        const read = await pulled.externalData();
        expect([...read].map(([path, bytes]) => [path, [...bytes]])).toEqual([
          ["model.onnx.data", [1, 2]],
          ["weights/b.bin", [3]],
        ]);
        expect(pulled.files.map(({ path }) => path).slice(5)).toEqual(["model.onnx.data", "weights/b.bin"]);
        await store.pushImage(`external@${digest}`);
      });

      test("lists its files", async () => {
        const content = samplePackage();
        const { digest } = await store.push("flight_delay", content);
        const { files } = await store.pull(`flight_delay@${digest}`);
        const paths = ["model.onnx", "millrace.json", "baseline.binpb", "golden.binpb", "README.md"];
        expect(files.map(({ path }) => path)).toEqual(paths);
        expect(files[0]).toEqual({ path: "model.onnx", digest: digestOf(content.model), sizeBytes: 20 });
      });

      test("is found by tag, by digest and by its whole URL", async () => {
        const { digest } = await store.push("team/flight_delay", samplePackage(), ["candidate"]);
        const expected = { repository: "team/flight_delay", digest };
        expect(await store.resolve("team/flight_delay:candidate")).toEqual(expected);
        expect(await store.resolve(`team/flight_delay@${digest}`)).toEqual(expected);
        expect(await store.resolve(`${store.url}/team/flight_delay:candidate`)).toEqual(expected);
        expect(await store.resolve(`${store.url}/team/flight_delay@${digest}`)).toEqual(expected);
      });

      test("has no part that it was pushed without", async () => {
        const { manifest, model } = samplePackage();
        const { digest } = await store.push("bare", { manifest, model });
        const pulled = await store.pull(`bare@${digest}`, ["baseline"]);
        expect([await pulled.baseline(), await pulled.golden(), await pulled.card()]).toEqual([
          undefined,
          undefined,
          undefined,
        ]);
      });

      test("has the same digest when it is pushed again, and both tags", async () => {
        const first = await store.push("flight_delay", samplePackage(), ["a"]);
        const second = await store.push("flight_delay", samplePackage(), ["b"]);
        expect(second).toEqual(first);
        expect(await store.tags("flight_delay")).toEqual(["a", "b"]);
      });

      test("may be larger than one chunk of an upload, and tells how far it has come", async () => {
        const model = new Uint8Array(40 * 1024 ** 2);
        for (let index = 0; index < model.length; index += 4099) {
          model[index] = index % 251;
        }
        const moved: Transfer[] = [];
        const watched = await harness.open({ onTransfer: (transfer) => moved.push(transfer) });
        const { digest } = await watched.push("large", samplePackage({ model }), []);
        const pulled = await (await watched.pull(`large@${digest}`)).model();
        expect(Buffer.compare(pulled, model)).toBe(0);
        const blob = digestOf(model);
        for (const direction of ["push", "pull"]) {
          const ofModel = moved.filter((one) => one.direction === direction && one.blob === blob);
          const done = ofModel.map(({ doneBytes }) => doneBytes);
          expect(done).toEqual(done.toSorted((a, b) => a - b));
          expect(ofModel.at(-1)).toEqual({ direction, blob, doneBytes: model.length, totalBytes: model.length });
        }
        await watched.close();
      });
    });

    describe("a tag", () => {
      test("moves to the package that was pushed last, and the older one stays", async () => {
        const old = await store.push("flight_delay", samplePackage(), ["candidate"]);
        const young = await store.push("flight_delay", samplePackage({ card: "another" }), ["candidate"]);
        expect(await store.resolve("flight_delay:candidate")).toMatchObject(young);
        expect(await store.resolve(`flight_delay@${old.digest}`)).toMatchObject(old);
      });

      test("is put on a package that is there already", async () => {
        const { digest } = await store.push("flight_delay", samplePackage());
        expect(await store.tags("flight_delay")).toEqual([]);
        await store.tag("flight_delay", digest, "production");
        expect(await store.resolve("flight_delay:production")).toEqual({ repository: "flight_delay", digest });
      });

      test("is refused for a package that is not there", async () => {
        await store.push("flight_delay", samplePackage());
        await expectReason(store.tag("flight_delay", absent, "production"), "PACKAGE_UNKNOWN", "NOT_FOUND");
      });
    });

    describe("what is not there", () => {
      test("is a PACKAGE_UNKNOWN, be it repository, tag or digest", async () => {
        await store.push("flight_delay", samplePackage(), ["candidate"]);
        for (const reference of ["nothing:candidate", "flight_delay:nothing", `flight_delay@${absent}`]) {
          await expectReason(store.pull(reference), "PACKAGE_UNKNOWN", "NOT_FOUND");
        }
        expect(await store.tags("nothing")).toEqual([]);
        expect(await store.repositories()).toContain("flight_delay");
      });
    });

    describe("a damaged blob", () => {
      test("is refused by name", async () => {
        const content = samplePackage();
        const { digest } = await store.push("flight_delay", content);
        const blob = digestOf(content.model);
        await harness.damage("flight_delay", blob);
        const pulled = await store.pull(`flight_delay@${digest}`);
        const error = await expectReason(pulled.model(), "PACKAGE_CORRUPT", "DATA_LOSS");
        expect(error.message).toContain(blob);
      });

      test("is refused where it is the manifest", async () => {
        const { digest } = await store.push("flight_delay", samplePackage());
        await harness.damage("flight_delay", digest);
        const [reason, code] = harness.damagedManifest ?? ["PACKAGE_CORRUPT", "DATA_LOSS"];
        await expectReason(store.pull(`flight_delay@${digest}`), reason, code);
      });
    });

    describe("the image of a package", () => {
      test("has the digest that it always had, and names its package", async () => {
        const { digest } = await store.push("flight_delay", samplePackage(), ["v1"]);
        const image = await store.pushImage("flight_delay:v1", ["v1-image"]);
        expect(image).toEqual({
          repository: "flight_delay",
          digest: "sha256:577759202b24c6e6576a44264633dd2724736f2e863a47dbb4dbae6b4f4ce9f5",
          packageDigest: digest,
        });
        expect(await store.tags("flight_delay")).toEqual(["v1", "v1-image"]);
        expect(await store.resolve("flight_delay:v1-image")).toMatchObject({ digest: image.digest });
        expect(await store.pushImage(`flight_delay@${digest}`)).toEqual(image);
      });

      test("is not taken for a package", async () => {
        await store.push("flight_delay", samplePackage(), ["v1"]);
        const { digest } = await store.pushImage("flight_delay:v1", ["v1-image"]);
        const calls = [
          () => store.pull("flight_delay:v1-image"),
          () => store.pushImage("flight_delay:v1-image"),
          () => store.tag("flight_delay", digest, "v2"),
        ];
        for (const call of calls) {
          await expectReason(call(), "PACKAGE_CORRUPT", "FAILED_PRECONDITION");
        }
      });

      test("is refused where the model's name cannot name a folder", async () => {
        const content = samplePackage();
        const manifest = { ...content.manifest, name: "../flight delay" };
        await store.push("flight_delay", { ...content, manifest }, ["v1"]);
        await expectReason(store.pushImage("flight_delay:v1"), "FIELD_INVALID", "INVALID_ARGUMENT");
      });
    });

    signatureContract(() => ({ store, artifacts }));
    promotionContract(() => ({ store, artifacts }));

    test("a malformed name is refused before anything is asked", async () => {
      for (const reference of [
        "",
        "flight_delay",
        "Flight:1",
        "../x:1",
        "a@sha256:12",
        "blobs:1",
        "oci://elsewhere/a:1",
      ]) {
        await expectReason(store.resolve(reference), "FIELD_INVALID", "INVALID_ARGUMENT");
      }
    });

    test("all packages with a tag are told with their manifests, and nothing else", async () => {
      const one = await store.push("team/flight_delay", samplePackage({ card: "one" }), ["a", "b"]);
      const two = await store.push("team/flight_delay", samplePackage({ card: "two" }), ["c"]);
      const other = await store.push("churn", samplePackage(), ["a"]);
      await store.push("churn", samplePackage({ card: "untagged" }));
      await store.pushImage("churn:a", ["image"]);
      const found = await Array.fromAsync(store.packages());
      const sorted = found.toSorted((x, y) => (x.tags.join() + x.repository < y.tags.join() + y.repository ? -1 : 1));
      expect(sorted.map(({ repository, digest, tags }) => [repository, digest, tags])).toEqual([
        ["team/flight_delay", one.digest, ["a", "b"]],
        ["churn", other.digest, ["a"]],
        ["team/flight_delay", two.digest, ["c"]],
      ]);
      expect(found.map(({ manifest }) => manifest.lineage?.datasetSnapshotId)).toEqual(Array(3).fill("snapshot-1"));
    });

    test("many pushes at once lose no tag", async () => {
      const names = Array.from({ length: 12 }, (_, index) => `t${String(index).padStart(2, "0")}`);
      await Promise.all(names.map((tag) => store.push("flight_delay", samplePackage({ card: tag }), [tag])));
      expect(await store.tags("flight_delay")).toEqual(names);
    });
  });
};

/** Expects a call to reject with a MillraceError of this reason and code, and gives it back. */
export const expectReason = async (call: Promise<unknown>, reason: string, code: string): Promise<MillraceError> => {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof MillraceError)) {
    throw new Error(`A MillraceError ${reason} was expected, not ${error}`, { cause: error });
  }
  expect([reasonName(error.reason), error.code]).toEqual([reason, code]);
  return error;
};
