import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import { CallCancelledError } from "@millrace/grpc";
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
 * @throws BodyTooLargeError, BodyInvalidError, CallCancelledError where the caller went away.
 */
export const readBody = async (request: IncomingMessage, maxBytes: number): Promise<Uint8Array> => {
  const encoding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  const inflateAll = inflaters.get(encoding);
  if (inflateAll === undefined && encoding !== "identity") {
    throw new BodyInvalidError("Content-Encoding", "gzip, deflate or none", encoding);
  }
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > maxBytes) throw new BodyTooLargeError(maxBytes, String(announced));
  const body = await readAll(request, maxBytes);
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
const readAll = (request: IncomingMessage, maxBytes: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > maxBytes) {
        request.removeAllListeners("data");
        request.pause();
        chunks.length = 0;
        reject(new BodyTooLargeError(maxBytes, "more"));
        return;
      }
      chunks.push(chunk);
    });
    request.on("end", () => resolve(chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks)));
    request.on("error", () => reject(new CallCancelledError()));
    request.on("close", () => reject(new CallCancelledError()));
  });
