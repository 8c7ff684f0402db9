import { createHash } from "node:crypto";
import type { Digest } from "./digest.ts";
import { PackageCorruptError } from "./package-corrupt-error.ts";

/**
 * Collects a blob chunk by chunk, hashing as it goes, and gives it out only if it has the digest and size that name it.
 * More bytes than announced are refused when they come, so a store cannot make us hold more than the manifest says.
 */
export class BlobReceiver {
  readonly #blob: string;
  readonly #expected: { readonly digest: Digest; readonly size: number };
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #hash = createHash("sha256");
  #received = 0;

  /** @param blob names the blob in errors, for example `flight_delay@sha256:…`. */
  constructor(blob: string, expected: { readonly digest: Digest; readonly size: number }) {
    this.#blob = blob;
    this.#expected = expected;
    this.#bytes = new Uint8Array(expected.size);
  }

  /** Bytes received so far: where a broken transfer goes on. */
  get received(): number {
    return this.#received;
  }

  append(chunk: Uint8Array): void {
    if (this.#received + chunk.byteLength > this.#expected.size) {
      throw new PackageCorruptError(this.#blob, `${this.#expected.size} bytes`, "more");
    }
    this.#bytes.set(chunk, this.#received);
    this.#received += chunk.byteLength;
    this.#hash.update(chunk);
  }

  /** @throws PackageCorruptError where bytes are missing or are not those that the digest names. */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#received !== this.#expected.size) {
      throw new PackageCorruptError(this.#blob, `${this.#expected.size} bytes`, `${this.#received} bytes`);
    }
    const digest = `sha256:${this.#hash.digest("hex")}`;
    if (digest !== this.#expected.digest) {
      throw new PackageCorruptError(this.#blob, this.#expected.digest, digest);
    }
    return this.#bytes;
  }
}
