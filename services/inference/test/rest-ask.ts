import { type IncomingHttpHeaders, type RequestOptions, request } from "node:http";

export interface RestReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** The text as JSON; undefined where it is none. */
  readonly json: unknown;
}

/** Asks the REST form as plainly as can be: what is sent and what comes is not touched. Without a body it is a GET. */
export const restAsk = (
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
  options: RequestOptions = {},
): Promise<RestReply> =>
  new Promise((resolve, reject) => {
    const bytes =
      body === undefined || body instanceof Uint8Array
        ? body
        : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
    const method = bytes === undefined ? "GET" : "POST";
    const length = bytes === undefined ? {} : { "content-length": String(bytes.byteLength) };
    const call = request(url, { method, headers: { ...length, ...headers }, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const all = Buffer.concat(chunks);
        const text = all.toString();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: all, text, json: parsed(text) });
      });
    });
    call.on("error", reject);
    call.end(bytes);
  });

/** JSON, the bytes behind it, and the header that says where they begin. */
export const restBytes = (json: unknown, ...parts: readonly Uint8Array[]) => {
  const text = Buffer.from(JSON.stringify(json));
  return {
    body: Buffer.concat([text, ...parts]),
    headers: { "inference-header-content-length": String(text.length), "content-type": "application/octet-stream" },
  };
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
