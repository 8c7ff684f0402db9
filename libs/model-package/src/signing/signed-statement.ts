import { canonicalJson } from "../canonical-json.ts";
import { type Digest, hexOf, isDigest } from "../digest.ts";

/** The type that a DSSE envelope gives its payload. */
export const statementPayloadType = "application/vnd.in-toto+json";

/** The predicate by which a statement is a plain signature over an artifact, and nothing more. */
export const signPredicateType = "https://sigstore.dev/cosign/sign/v1";

const statementType = /^https:\/\/in-toto\.io\/Statement\/v(0\.1|1)$/;

/** The in-toto statement that a signature is made over: this digest is signed. It is what cosign signs. */
export const statementOf = (digest: Digest): Buffer =>
  Buffer.from(
    canonicalJson({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ digest: { sha256: hexOf(digest) } }],
      predicateType: signPredicateType,
      predicate: {},
    }),
  );

/** The digests that a statement signs; undefined where the payload is no statement of a signature. */
export const digestsOfStatement = (payload: Uint8Array): Digest[] | undefined => {
  let statement: unknown;
  try {
    statement = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return undefined;
  }
  const { _type, predicateType, subject } = objectOf(statement);
  if (typeof _type !== "string" || !statementType.test(_type) || predicateType !== signPredicateType) {
    return undefined;
  }
  const subjects: readonly unknown[] = Array.isArray(subject) ? subject : [];
  return subjects
    .map((entry) => `sha256:${String(objectOf(objectOf(entry).digest).sha256)}`)
    .filter((digest) => isDigest(digest));
};

const objectOf = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
