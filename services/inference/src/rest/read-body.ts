import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import { CallCancelledError } from "@millrace/grpc";
import type { InFlightBytes } from "../execution/in-flight-bytes.ts";
import { BodyInvalidError } from "./body-invalid-error.ts";
import { BodyTooLargeError } from "./rest-error.ts";

const inflaters = new Map([
  ["gzip", promisify(gunzip)],
  ["deflate", promisify(inflate)],
]);

/**
 * Reads the body of a request, and inflates it where it came compressed. A body that says that it is too large is refused
 * before any of it is read.
 * @param maxBytes holds for the body as it comes, and after it was inflated.
 * @param coming counts the bodies that are on their way: one that is announced is counted whole.
 * @throws BodyTooLargeError, BodyInvalidError, TooManyBytesInFlightError, CallCancelledError where the caller went away.
 */
export const readBody = async (
  request: IncomingMessage,
  maxBytes: number,
  coming: InFlightBytes,
): Promise<Uint8Array> => {
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  const inflateAll = inflaters.get(encoding);
  if (inflateAll === undefined && encoding !== "identity") {
    throw new BodyInvalidError("Content-Encoding", "gzip, deflate or none", encoding);
  }
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > maxBytes) throw new BodyTooLargeError(maxBytes, String(announced));
  const body = await readAll(request, announced, maxBytes, coming);
  if (inflateAll === undefined) return body;
  try {
    return await inflateAll(body, { maxOutputLength: maxBytes });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") {
      throw new BodyTooLargeError(maxBytes, "more once it is inflated");
    }
    throw new BodyInvalidError("body", `a body in ${encoding}`, "one that cannot be inflated");
  }
};

/** An iterator would destroy the connection where it stops early, and nothing could be answered. */
const readAll = (
  request: IncomingMessage,
  announced: number,
  maxBytes: number,
  coming: InFlightBytes,
): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let counted = 0;
    const count = (bytes: number) => {
      if (bytes <= counted) return;
      coming.acquire(bytes - counted);
      counted = bytes;
    };
    const end = (settle: () => void) => {
      coming.release(counted);
      counted = 0;
      request.removeAllListeners("data");
      request.pause();
      settle();
    };
    try {
      count(announced);
    } catch (error) {
      reject(error);
      return;
    }
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      try {
        if (length > maxBytes) throw new BodyTooLargeError(maxBytes, "more");
        count(length);
      } catch (error) {
        chunks.length = 0;
        end(() => reject(error));
        return;
      }
      chunks.push(chunk);
    });
    request.on("end", () =>
      end(() => resolve(chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks))),
    );
    for (const gone of ["error", "close"]) request.on(gone, () => end(() => reject(new CallCancelledError())));
  });
