import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { DeploymentDeclarationSchema } from "@millrace/contracts/millrace/inference/v1/deployment";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { generateSigningKey, signerFromPem } from "@millrace/model-package";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DeployedService, startDeployedService } from "./deployed-service.ts";
import { scalePackage } from "./packages.ts";

let deployed: DeployedService;

beforeAll(async () => {
  deployed = await startDeployedService();
}, 60_000);

afterAll(() => deployed.close());

describe("a deployment that demands a signature", () => {
  const signed = (reference: string, version: number) => `
deployments:
  - model: scale
    versions: [{version: ${version}, package: "${reference}"}]
    signature: {trustedKeys: [keys/release.pem]}
`;
  const keyFile = () => join(deployed.folder, "keys/release.pem");
  const key = generateSigningKey();

  test("serves a package when a trusted key has signed it, and tells which", async () => {
    const reference = await deployed.push("scale", scalePackage(7));
    deployed.declare(signed(reference, 7));
    expect(await deployed.awaitState(reference, State.FAILED)).toMatchObject({
      reason: "SIGNATURE_INVALID",
      message: "The trusted key keys/release.pem cannot be read: there is no such file.",
    });
    mkdirSync(join(deployed.folder, "keys"));
    writeFileSync(keyFile(), key.publicKeyPem);
    await deployed.awaitStatus(({ deployments }) =>
      (deployments[0]?.versions ?? []).some(({ message }) => /it has no signature/.test(message)),
    );
    await deployed.store.sign(reference, signerFromPem(key.privateKeyPem));
    for (;;) {
      const status = await deployed.awaitStatus(() => true);
      const version = status.deployments[0]?.versions.findLast(({ package: name }) => name === reference);
      if (version?.state === State.READY) {
        expect(version.signedBy).toBe("keys/release.pem");
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const { findings } = await deployed.service.deployments.validate({
      declaration: fromJson(DeploymentDeclarationSchema, {
        deployments: [
          {
            model: "scale",
            versions: [{ version: 8, package: await deployed.push("scale", scalePackage(8)) }],
            signature: { trustedKeys: ["keys/release.pem"] },
          },
        ],
      }),
    });
    expect(findings).toMatchObject([
      {
        field: "deployments[0].versions[0].package",
        reason: "SIGNATURE_INVALID",
        message: expect.stringMatching(/has no signature/),
      },
    ]);
  }, 60_000);

  test("does not load what was signed by a key that is no longer trusted, and what serves stays", async () => {
    const reference = await deployed.push("scale", scalePackage(9));
    await deployed.store.sign(reference, signerFromPem(key.privateKeyPem));
    writeFileSync(keyFile(), generateSigningKey().publicKeyPem);
    deployed.declare(signed(reference, 9));
    expect(await deployed.awaitState(reference, State.FAILED)).toMatchObject({ reason: "SIGNATURE_INVALID" });
    expect((await deployed.service.oip.modelMetadata({ name: "scale" })).versions).toEqual(["7"]);
  }, 30_000);

  test("reads no key through a link that leads out of the declaration's folder", async () => {
    const reference = await deployed.push("scale", scalePackage(10));
    const outside = mkdtempSync(join(tmpdir(), "millrace-key-"));
    writeFileSync(join(outside, "k.pem"), key.publicKeyPem);
    rmSync(keyFile());
    symlinkSync(join(outside, "k.pem"), keyFile());
    deployed.declare(signed(reference, 10));
    const status = await deployed.awaitState(reference, State.FAILED);
    expect(status.message).toMatch(/it lies outside of the declaration's folder/);
    rmSync(outside, { recursive: true });
  }, 30_000);
});
