import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { deflate, gzip } from "node:zlib";
import type { RestAnswer } from "./rest-answer.ts";

const compressors = { gzip: promisify(gzip), deflate: promisify(deflate) };

/** Below it, compressing costs more than it saves. */
const leastCompressedBytes = 1024;

/** Longest time that the rest of a body is read and thrown away, in ms. */
const discardMs = 2000;

/**
 * Sends an answer, compressed where the caller takes that and it is worth it. Where the body was not read to its end, the
 * rest is thrown away for a while before the connection is closed: a caller that is still sending would else see a
 * connection that breaks, and no answer.
 * @param headers beside those of the answer.
 */
export const sendAnswer = async (
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, headers: own = {}, body }: RestAnswer,
  headers: Readonly<Record<string, string>>,
): Promise<void> => {
  const plain = typeof body === "string" ? Buffer.from(body) : body;
  const encoding = plain.byteLength < leastCompressedBytes ? undefined : accepted(request.headers["accept-encoding"]);
  // The fastest level: most of a tensor's bytes are noise to a compressor.
  const sent = encoding === undefined ? plain : await compressors[encoding](plain, { level: 1 });
  if (response.destroyed) return;
  response.writeHead(status, {
    ...headers,
    ...own,
    "content-length": String(sent.byteLength),
    ...(sent.byteLength === 0 ? {} : { "content-type": type }),
    ...(encoding === undefined ? {} : { "content-encoding": encoding, vary: "accept-encoding" }),
  });
  if (request.complete || request.headers.expect !== undefined) {
    response.end(sent);
    return;
  }
  response.write(sent);
  await discarded(request);
  response.end();
};

/** Resolves when the rest of a body is over, or too much time is. */
const discarded = (request: IncomingMessage): Promise<void> =>
  new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(over, discardMs);
    request.once("end", over);
    request.once("close", over);
    request.resume();
  });

/** The first encoding of ours that the caller takes. */
const accepted = (header: string | string[] | undefined): keyof typeof compressors | undefined => {
  for (const choice of String(header ?? "").split(",")) {
    const [name = "", ...parameters] = choice.split(";").map((part) => part.trim().toLowerCase());
    const refused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    if (!refused && (name === "gzip" || name === "deflate")) return name;
  }
  return undefined;
};
