import { type ClientHttp2Session, connect, constants } from "node:http2";

/** gRPC by hand, so that a message may be any bytes. */
export class RawGrpc {
  readonly #session: ClientHttp2Session;

  constructor(address: string) {
    this.#session = connect(`http://${address}`);
  }

  /**
   * Sends messages in one call and waits for its end.
   * @returns the status, and the messages of the answer. @throws where the call does not end in time.
   */
  call(
    method: string,
    messages: readonly Uint8Array[],
    limitMs: number,
  ): Promise<{ status: number; answers: Buffer[] }> {
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        ":method": "POST",
        ":path": `/inference.GRPCInferenceService/${method}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      const chunks: Buffer[] = [];
      let status: number | undefined;
      const read = (headers: Record<string, unknown>) => {
        if (headers["grpc-status"] !== undefined) status = Number(headers["grpc-status"]);
      };
      stream.on("response", read);
      stream.on("trailers", read);
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", reject);
      stream.on("close", () => {
        if (status === undefined) reject(new Error(`${method} ended without a status (${stream.rstCode}).`));
        else resolve({ status, answers: unframed(Buffer.concat(chunks)) });
      });
      stream.setTimeout(limitMs, () => {
        stream.close(constants.NGHTTP2_CANCEL);
        reject(new Error(`${method} did not end within ${limitMs} ms.`));
      });
      for (const message of messages) {
        const head = Buffer.alloc(5);
        head.writeUInt32BE(message.length, 1);
        stream.write(head);
        stream.write(message);
      }
      stream.end();
    });
  }

  close(): void {
    this.#session.close();
  }
}

const unframed = (bytes: Buffer): Buffer[] => {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return messages;
};
