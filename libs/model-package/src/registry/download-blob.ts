import { BlobReceiver } from "../blob-receiver.ts";
import type { Descriptor } from "../descriptor.ts";
import { PackageCorruptError } from "../package-corrupt-error.ts";
import { RegistryUnavailableError } from "../registry-unavailable-error.ts";
import type { TransferObserver } from "../transfer.ts";
import type { RegistryClient } from "./registry-client.ts";

/** Breaks without a single new byte between them after which the download is given up. */
const fruitlessAttempts = 4;

/**
 * Reads a blob from a registry, hashing it on the way. A transfer that breaks goes on at the byte where it broke.
 *
 * @returns undefined where the registry has no such blob.
 * @throws PackageCorruptError, RegistryUnavailableError
 */
export const downloadBlob = async (
  client: RegistryClient,
  repository: string,
  blob: Descriptor,
  onTransfer: TransferObserver,
  signal?: AbortSignal,
): Promise<Uint8Array | undefined> => {
  const name = `${repository}@${blob.digest}`;
  let receiver = new BlobReceiver(name, blob);
  for (let fruitless = 0; ; ) {
    const from = receiver.received;
    const answer = await client.send({
      method: "GET",
      target: `/v2/${repository}/blobs/${blob.digest}`,
      repository,
      headers: from === 0 ? {} : { range: `bytes=${from}-` },
      accept: [200, 206, 404],
      signal,
    });
    if (answer.status === 404) {
      await answer.body.dump();
      return undefined;
    }
    if (answer.status === 200 && from > 0) {
      receiver = new BlobReceiver(name, blob);
    }
    try {
      for await (const chunk of answer.body as AsyncIterable<Uint8Array>) {
        receiver.append(chunk);
        onTransfer({ direction: "pull", blob: blob.digest, doneBytes: receiver.received, totalBytes: blob.size });
      }
      return receiver.finish();
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof PackageCorruptError) {
        throw cause;
      }
      fruitless = receiver.received > from ? 0 : fruitless + 1;
      if (fruitless === fruitlessAttempts) {
        throw new RegistryUnavailableError(client.host, `breaks off the transfer of ${name}`, { cause });
      }
    }
  }
};
