import type { Descriptor } from "../descriptor.ts";
import { RegistryUnavailableError } from "../registry-unavailable-error.ts";
import type { TransferObserver } from "../transfer.ts";
import type { RegistryClient, RegistryResponse } from "./registry-client.ts";

const chunkBytes = 16 * 1024 ** 2;
const attempts = 4;

/**
 * Sends a blob to a registry, unless it has it already. Small blobs go in one request; large ones in chunks, and an
 * upload that breaks goes on where the registry says it stands. An upload that the registry has forgotten begins anew.
 */
export const uploadBlob = async (
  client: RegistryClient,
  repository: string,
  blob: Descriptor,
  bytes: Uint8Array,
  onTransfer: TransferObserver,
  signal?: AbortSignal,
): Promise<void> => {
  const told = (doneBytes: number) =>
    onTransfer({ direction: "push", blob: blob.digest, doneBytes, totalBytes: blob.size });
  for (let attempt = 1; ; attempt += 1) {
    if (await hasBlob(client, repository, blob, signal)) {
      told(blob.size);
      return;
    }
    const started = await client.send({
      method: "POST",
      target: `/v2/${repository}/blobs/uploads/`,
      repository,
      headers: { "content-length": "0" },
      accept: [202],
      signal,
    });
    await started.body.dump();
    const upload = new Upload(client, repository, bytes, told, signal);
    if (await upload.run(started, blob)) {
      told(blob.size);
      return;
    }
    if (attempt === attempts) {
      throw new RegistryUnavailableError(client.host, `lost the upload of ${blob.digest} ${attempts} times`);
    }
  }
};

const hasBlob = async (
  client: RegistryClient,
  repository: string,
  { digest, size }: Descriptor,
  signal: AbortSignal | undefined,
): Promise<boolean> => {
  const target = `/v2/${repository}/blobs/${digest}`;
  const answer = await client.send({ method: "HEAD", target, repository, accept: [200, 404], signal });
  await answer.body.dump();
  return answer.status === 200 && (answer.header("content-length") ?? String(size)) === String(size);
};

class Upload {
  readonly #client: RegistryClient;
  readonly #repository: string;
  readonly #bytes: Uint8Array;
  readonly #told: (doneBytes: number) => void;
  readonly #signal: AbortSignal | undefined;

  constructor(
    client: RegistryClient,
    repository: string,
    bytes: Uint8Array,
    told: (doneBytes: number) => void,
    signal: AbortSignal | undefined,
  ) {
    this.#told = told;
    this.#client = client;
    this.#repository = repository;
    this.#bytes = bytes;
    this.#signal = signal;
  }

  /** False where the upload is lost: the registry has forgotten it, or it is unknown how much arrived. */
  async run(started: RegistryResponse, blob: Descriptor): Promise<boolean> {
    const leastBytes = Number(started.header("oci-chunk-min-length") ?? 0);
    const stepBytes = Math.max(chunkBytes, Number.isSafeInteger(leastBytes) ? leastBytes : 0);
    const start = { location: this.#client.location(started), offset: 0 };
    const end = this.#bytes.byteLength <= stepBytes ? start : await this.#sendChunks(start, stepBytes);
    if (end === undefined) {
      return false;
    }
    end.location.searchParams.set("digest", blob.digest);
    const answer = await this.#send("PUT", end.location, this.#bytes.subarray(end.offset), {}, [201, 404, 416]);
    return answer?.status === 201;
  }

  async #sendChunks(start: Position, stepBytes: number): Promise<Position | undefined> {
    let position = start;
    let failures = 0;
    while (position.offset < this.#bytes.byteLength) {
      const sent = await this.#patch(position, stepBytes);
      const now = sent ?? (await this.#whereItStands(position.location));
      failures += sent === undefined ? 1 : 0;
      if (now === undefined || failures === attempts) {
        return undefined;
      }
      position = now;
      this.#told(now.offset);
    }
    return position;
  }

  /** Undefined where the chunk did not arrive whole. */
  async #patch({ location, offset }: Position, stepBytes: number): Promise<Position | undefined> {
    const chunk = this.#bytes.subarray(offset, offset + stepBytes);
    const end = offset + chunk.byteLength;
    const answer = await this.#send(
      "PATCH",
      location,
      chunk,
      { "content-range": `${offset}-${end - 1}` },
      [202, 404, 416],
    );
    return answer?.status === 202 ? { location: this.#client.location(answer), offset: end } : undefined;
  }

  /** What the registry holds of the upload; undefined where it knows nothing of it. */
  async #whereItStands(location: URL): Promise<Position | undefined> {
    const answer = await this.#client.send({
      method: "GET",
      target: location,
      repository: this.#repository,
      accept: [204, 404],
      signal: this.#signal,
    });
    await answer.body.dump();
    // `0-0` is what registries answer both for nothing and for one byte: such an upload begins anew.
    const last = Number(/^(?:bytes=)?0-(\d+)$/.exec(answer.header("range") ?? "")?.[1] ?? 0);
    if (answer.status !== 204 || last === 0 || last >= this.#bytes.byteLength) {
      return undefined;
    }
    const next = answer.header("location") === undefined ? location : this.#client.location(answer);
    return { location: next, offset: last + 1 };
  }

  /**
   * Never repeated blindly: not every registry looks at Content-Range, and bytes sent twice may be appended twice.
   * Undefined where no answer came.
   */
  async #send(
    method: "PATCH" | "PUT",
    target: URL,
    body: Uint8Array,
    headers: Readonly<Record<string, string>>,
    accept: readonly number[],
  ): Promise<RegistryResponse | undefined> {
    try {
      const answer = await this.#client.send({
        method,
        target,
        repository: this.#repository,
        body,
        headers: {
          "content-type": "application/octet-stream",
          "content-length": String(body.byteLength),
          ...headers,
        },
        accept,
        repeatable: false,
        signal: this.#signal,
      });
      await answer.body.dump();
      return answer;
    } catch (error) {
      if (error instanceof RegistryUnavailableError && error.code === "UNAVAILABLE") {
        return undefined;
      }
      throw error;
    }
  }
}

interface Position {
  readonly location: URL;
  readonly offset: number;
}
