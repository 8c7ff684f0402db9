import { createPublicKey, randomBytes } from "node:crypto";
import { bundleToJSON, toDSSEBundle } from "@sigstore/bundle";
import { dsse } from "@sigstore/core";
import { describe, expect, test } from "vitest";
import type { ArtifactStore } from "../artifact-store.ts";
import type { Descriptor } from "../descriptor.ts";
import { type Digest, digestOf } from "../digest.ts";
import { mediaTypes } from "../media-types.ts";
import { expectReason } from "../model-store.contract.ts";
import type { ModelStore } from "../model-store.ts";
import { samplePackage } from "../sample-package.fixture.ts";
import { statementOf, statementPayloadType } from "./signed-statement.ts";
import { generateSigningKey, keyHint, type PackageSigner, signerFromPem } from "./signing-key.ts";

const release = generateSigningKey();
const other = generateSigningKey();
const releaseSigner = signerFromPem(release.privateKeyPem);
const trusted = [
  { name: "retired.pub", pem: generateSigningKey().publicKeyPem },
  { name: "release.pub", pem: release.publicKeyPem },
];
const absent: Digest = `sha256:${"0".repeat(64)}`;

/** What holds of signatures in every store. `stores` gives the open ones of the running test. */
export const signatureContract = (
  stores: () => { readonly store: ModelStore; readonly artifacts: ArtifactStore },
): void => {
  describe("a signature", () => {
    const push = async (card = "signed") => {
      const { digest } = await stores().store.push("flight_delay", samplePackage({ card }), ["candidate"]);
      return { repository: "flight_delay", digest };
    };
    const verify = (signed: { repository: string; digest: Digest }) => stores().store.verifySignature(signed, trusted);
    const refused = async (signed: { repository: string; digest: Digest }, why: RegExp) => {
      const error = await expectReason(verify(signed), "SIGNATURE_INVALID", "FAILED_PRECONDITION");
      expect(error.message).toMatch(why);
      expect(error.message).toContain(signed.digest);
      expect(error.message).toContain("release.pub");
    };
    /** Attaches to a package whatever bytes a signature's layer shall have. */
    const attach = (signed: { readonly digest: Digest }, layer: Uint8Array) =>
      attachTo(stores().artifacts, signed, layer);

    test("by a trusted key is found, and says which key it is by", async () => {
      const signed = await push();
      const { signature } = await stores().store.sign("flight_delay:candidate", releaseSigner);
      expect(await verify(signed)).toEqual({ keyName: "release.pub", signature });
      expect(await stores().store.resolve("flight_delay:candidate")).toEqual(signed);
      expect(await stores().store.tags("flight_delay")).toEqual(["candidate"]);
    });

    test("stays when the package is pushed or tagged again", async () => {
      const signed = await push();
      await stores().store.sign("flight_delay:candidate", releaseSigner);
      await push();
      await stores().store.tag("flight_delay", signed.digest, "production");
      expect(await verify(signed)).toMatchObject({ keyName: "release.pub" });
    });

    test("is not there before someone signs", async () => {
      await refused(await push(), /it has no signature/);
      await refused({ repository: "nothing", digest: absent }, /it has no signature/);
    });

    test("by another key does not count, and does not hide one that does", async () => {
      const signed = await push();
      for (let count = 0; count < 3; count += 1) {
        await stores().store.sign("flight_delay:candidate", signerFromPem(other.privateKeyPem));
      }
      await refused(signed, /is by another key/);
      await stores().store.sign("flight_delay:candidate", releaseSigner);
      expect(await verify(signed)).toMatchObject({ keyName: "release.pub" });
    });

    test("of one package is none of a changed one", async () => {
      await push();
      await stores().store.sign("flight_delay:candidate", releaseSigner);
      await refused(await push("changed"), /it has no signature/);
    });

    test("that is moved to another package signs another digest", async () => {
      const [original, changed] = [await push(), await push("changed")];
      await attach(changed, await bundleOf(statementOf(original.digest), releaseSigner));
      await refused(changed, new RegExp(`is by the key release.pub, but for another digest, ${original.digest}`));
    });

    test("whose bytes were changed does not hold", async () => {
      const signed = await push();
      const bundle = JSON.parse(Buffer.from(await bundleOf(statementOf(absent), releaseSigner)).toString());
      bundle.dsseEnvelope.payload = statementOf(signed.digest).toString("base64");
      await attach(signed, Buffer.from(JSON.stringify(bundle)));
      await refused(signed, /names the key release.pub, but its bytes were changed/);
    });

    test("with another predicate is an attestation, not a signature", async () => {
      const signed = await push();
      const statement = { ...JSON.parse(statementOf(signed.digest).toString()), predicateType: "https://slsa.dev/x" };
      await attach(signed, await bundleOf(Buffer.from(JSON.stringify(statement)), releaseSigner));
      await refused(signed, /says something else than that a package is signed/);
    });

    test("that is no bundle, or too large, is named and passed over", async () => {
      const signed = await push();
      await attach(signed, Buffer.from("no JSON"));
      await refused(signed, /is no JSON object/);
      await attach(signed, Buffer.from('{"mediaType":"application/x"}'));
      await refused(signed, /is no Sigstore bundle/);
      await attach(signed, randomBytes(1024 ** 2 + 1));
      await refused(signed, /has 1048577 bytes; the limit is 1048576/);
      await stores().store.sign("flight_delay:candidate", releaseSigner);
      expect(await verify(signed)).toMatchObject({ keyName: "release.pub" });
    });

    test("is refused for a package that is not there", async () => {
      await push();
      for (const reference of ["flight_delay:nothing", `flight_delay@${absent}`]) {
        await expectReason(stores().store.sign(reference, releaseSigner), "PACKAGE_UNKNOWN", "NOT_FOUND");
      }
    });

    test("is checked by public keys only, and by one at least", async () => {
      const signed = await push();
      for (const pem of ["", "no PEM", release.privateKeyPem, release.publicKeyPem + other.publicKeyPem]) {
        const call = stores().store.verifySignature(signed, [{ name: "wrong.pub", pem }]);
        const error = await expectReason(call, "FIELD_INVALID", "INVALID_ARGUMENT");
        expect(error.message).toContain("wrong.pub");
      }
      await expectReason(stores().store.verifySignature(signed, []), "FIELD_INVALID", "INVALID_ARGUMENT");
    });
  });
};

const bundleOf = async (payload: Buffer, signer: PackageSigner): Promise<Uint8Array> => {
  const signature = Buffer.from(await signer.sign(dsse.preAuthEncoding(statementPayloadType, payload)));
  const hint = keyHint(createPublicKey(signer.publicKeyPem));
  const bundle = toDSSEBundle({ artifact: payload, artifactType: statementPayloadType, signature, keyHint: hint });
  return Buffer.from(JSON.stringify(bundleToJSON(bundle)));
};

const described = (mediaType: string, bytes: Uint8Array): Descriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.byteLength,
});

const attachTo = async (
  artifacts: ArtifactStore,
  { digest }: { readonly digest: Digest },
  bytes: Uint8Array,
): Promise<void> => {
  const repository = "flight_delay";
  const config = Buffer.from("{}");
  const layer = described(mediaTypes.sigstoreBundle, bytes);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      artifactType: mediaTypes.sigstoreBundle,
      config: described(mediaTypes.empty, config),
      layers: [layer],
      subject: { mediaType: mediaTypes.manifest, digest, size: 1 },
    }),
  );
  await artifacts.writeBlob(repository, described(mediaTypes.empty, config), config);
  await artifacts.writeBlob(repository, layer, bytes);
  const descriptor = { ...described(mediaTypes.manifest, manifest), artifactType: mediaTypes.sigstoreBundle };
  await artifacts.writeManifest(repository, { descriptor, bytes: manifest, subject: digest }, []);
};
