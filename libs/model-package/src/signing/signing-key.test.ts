import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { expectReason } from "../model-store.contract.ts";
import { generateSigningKey, signerFromPem } from "./signing-key.ts";

const refused = async (pem: string, passphrase?: string) =>
  (
    await expectReason(
      Promise.try(() => signerFromPem(pem, passphrase)),
      "FIELD_INVALID",
      "INVALID_ARGUMENT",
    )
  ).message;

describe("a key to sign with", () => {
  test("comes from a PEM file, as this makes it or as openssl does", () => {
    const made = generateSigningKey();
    expect(signerFromPem(made.privateKeyPem).publicKeyPem).toBe(made.publicKeyPem);
    const options = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const pem = execFileSync("openssl", options, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const publicPem = execFileSync("openssl", ["pkey", "-pubout"], { encoding: "utf8", input: pem });
    expect(signerFromPem(pem).publicKeyPem).toBe(publicPem);
  });

  test("may be encrypted, and is opened by its password only", async () => {
    const made = generateSigningKey("open sesame");
    expect(made.privateKeyPem).toContain("BEGIN ENCRYPTED PRIVATE KEY");
    expect(signerFromPem(made.privateKeyPem, "open sesame").publicKeyPem).toBe(made.publicKeyPem);
    expect(await refused(made.privateKeyPem)).toMatch(/expected the password/);
    const message = await refused(made.privateKeyPem, "guess");
    expect(message).toMatch(/another password/);
    expect(message).not.toContain("guess");
  });

  test("is refused where it is none, or of another kind", async () => {
    expect(await refused("")).toMatch(/no PEM/);
    expect(await refused(generateSigningKey().publicKeyPem)).toMatch(/another PEM/);
    const form = { type: "pkcs8", format: "pem" } as const;
    const edwards = generateKeyPairSync("ed25519").privateKey.export(form);
    expect(await refused(String(edwards))).toMatch(/got a key of type ed25519/);
    const larger = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export(form);
    expect(await refused(String(larger))).toMatch(/expected an ECDSA P-256/);
    expect(await refused("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")).toMatch(/cosign's own encryption/);
  });
});
