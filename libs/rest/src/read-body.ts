import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip, createInflate } from "node:zlib";
import { CallCancelledError } from "@millrace/grpc";
import { BodyInvalidError } from "./body-invalid-error.ts";
import type { InFlightBytes } from "./in-flight-bytes.ts";
import { BodyTooLargeError } from "./rest-error.ts";

const inflaters = new Map([
  ["gzip", createGunzip],
  ["deflate", createInflate],
]);

/**
 * Reads the body of a request, and inflates it where it came compressed. A body that says that it is too large is refused
 * before any of it is read.
 * @param maxBytes holds for the body as it comes, and after it was inflated.
 * @param coming counts the bytes of bodies that are being read: those that have come, and those that they inflate to.
 * @throws BodyTooLargeError, BodyInvalidError, TooManyBytesInFlightError, CallCancelledError where the caller went away.
 */
export const readBody = async (
  request: IncomingMessage,
  maxBytes: number,
  coming: InFlightBytes,
): Promise<Uint8Array> => {
  // Whoever waited for the answers before may be gone by now, and would tell of it no more.
  if (request.destroyed || request.socket.destroyed) throw new CallCancelledError();
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  const inflater = inflaters.get(encoding);
  if (inflater === undefined && encoding !== "identity") {
    throw new BodyInvalidError("Content-Encoding", "gzip, deflate or none", encoding);
  }
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > maxBytes) throw new BodyTooLargeError(maxBytes, String(announced));
  let counted = 0;
  const count = (bytes: number) => {
    coming.acquire(bytes);
    counted += bytes;
  };
  try {
    const body = await readAll(request, maxBytes, "more", count);
    if (inflater === undefined) return body;
    const inflating = inflater();
    inflating.end(body);
    try {
      return await readAll(inflating, maxBytes, "more once it is inflated", count);
    } catch (error) {
      if (!(error instanceof CallCancelledError)) throw error;
      throw new BodyInvalidError("body", `a body in ${encoding}`, "one that cannot be inflated");
    } finally {
      inflating.destroy();
    }
  } finally {
    coming.release(counted);
  }
};

/** An iterator would destroy the connection where it stops early, and nothing could be answered. */
const readAll = (
  source: Readable,
  maxBytes: number,
  tooMuch: string,
  count: (bytes: number) => void,
): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const end = (settle: () => void) => {
      source.removeAllListeners("data");
      source.pause();
      settle();
    };
    source.on("data", (chunk: Buffer) => {
      length += chunk.length;
      try {
        if (length > maxBytes) throw new BodyTooLargeError(maxBytes, tooMuch);
        count(chunk.length);
      } catch (error) {
        chunks.length = 0;
        end(() => reject(error));
        return;
      }
      chunks.push(chunk);
    });
    source.on("end", () =>
      end(() => resolve(chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks))),
    );
    for (const gone of ["error", "close"]) source.on(gone, () => end(() => reject(new CallCancelledError())));
  });
