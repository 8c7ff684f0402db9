import { once } from "node:events";
import { connect, type Socket } from "node:net";

/*
 * gRPC over HTTP/2 with as little work a call as can be: a load generator that costs more than the server that it loads
 * measures itself, and grpc-js's client costs two and a half times grpc-js's server. A call's frames are made once and
 * sent with another stream number each time; of an answer only frame headers, lengths and the status are looked at.
 *
 *     HEADERS │ DATA (5 bytes of gRPC, message) │ END_STREAM ───────▶
 *             ◀─────── HEADERS │ DATA │ HEADERS with grpc-status, END_STREAM
 *
 * The peer is told to keep no table of headers (RFC 7541, section 4.2), so a status is always spelled out, plainly or by
 * the fixed Huffman code. Flow control is kept in both directions.
 */
const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const endStream = 1;
const acknowledge = 1;
const endHeaders = 4;
const padded = 8;
const priority = 0x20;
const largestWindow = 2 ** 31 - 1;

/** A method, with the header block of a call to it. */
export interface PreparedMethod {
  readonly headers: Buffer;
}

/** One call under way. */
export interface PreparedCall {
  /** Sends another message of a stream, in its envelope. */
  send(envelope: Buffer): void;
  /** Ends the messages of a stream. */
  end(): void;
}

/** What becomes of a call. */
export interface CallListener {
  onMessage?(message: Buffer): void;
  /** @param ok whether its status was OK. */
  onEnd(ok: boolean): void;
}

interface OpenCall {
  readonly id: number;
  readonly listener: CallListener;
  /** Bytes of DATA that the peer takes of this stream. */
  window: number;
  /** What flow control holds back. */
  readonly waiting: { bytes: Buffer; last: boolean }[];
  /** The beginning of a message whose rest has not come. */
  partial: Buffer;
}

export class PreparedConnection {
  readonly #socket: Socket;
  readonly #address: string;
  readonly #calls = new Map<number, OpenCall>();
  #nextId = 1;
  #received: Buffer = Buffer.alloc(0);
  #window = 65_535;
  #initialWindow = 65_535;
  #maxFrameBytes = 16_384;
  #unacknowledgedBytes = 0;
  #corked = false;
  #error: Error | undefined;

  private constructor(socket: Socket, address: string) {
    this.#socket = socket;
    this.#address = address;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#receive(bytes));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error(`${address} closed the connection.`)));
    const settings = Buffer.alloc(12);
    // HEADER_TABLE_SIZE 0, INITIAL_WINDOW_SIZE as large as it can be.
    settings.writeUInt16BE(1, 0);
    settings.writeUInt16BE(4, 6);
    settings.writeUInt32BE(largestWindow, 8);
    this.#write(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    this.#write(frame(frameTypes.settings, 0, 0, settings));
    this.#write(windowUpdate(largestWindow - 65_535));
  }

  /** @param address `host:port`, without TLS. */
  static async open(address: string): Promise<PreparedConnection> {
    const [host, port] = address.split(":");
    const socket = connect({ host, port: Number(port) });
    await once(socket, "connect");
    return new PreparedConnection(socket, address);
  }

  /** @param path `/package.Service/Method` */
  method(path: string): PreparedMethod {
    const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
    // Literals without indexing; 0x83 and 0x86 are `:method: POST` and `:scheme: http` of the static table.
    const headers = Buffer.concat([
      Buffer.from([0x83, 0x86, 0x04]),
      text(path),
      Buffer.from([0x01]),
      text(this.#address),
      Buffer.from([0x0f, 0x10]),
      text("application/grpc"),
      Buffer.from([0x00]),
      text("te"),
      text("trailers"),
    ]);
    return { headers };
  }

  /** Calls a unary method with a message in its envelope. */
  unary(method: PreparedMethod, envelope: Buffer, listener: CallListener): void {
    const call = this.#begin(method, listener);
    this.#send(call, envelope, true);
  }

  /** Calls a method with a stream of messages. */
  stream(method: PreparedMethod, listener: CallListener): PreparedCall {
    const call = this.#begin(method, listener);
    return {
      send: (envelope) => this.#send(call, envelope, false),
      end: () => this.#send(call, Buffer.alloc(0), true),
    };
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #begin({ headers }: PreparedMethod, listener: CallListener): OpenCall {
    if (this.#error !== undefined) throw this.#error;
    const call = {
      id: this.#nextId,
      listener,
      window: this.#initialWindow,
      waiting: [],
      partial: Buffer.alloc(0),
    };
    this.#nextId += 2;
    this.#calls.set(call.id, call);
    this.#write(frame(frameTypes.headers, endHeaders, call.id, headers));
    return call;
  }

  #send(call: OpenCall, bytes: Buffer, last: boolean): void {
    call.waiting.push({ bytes, last });
    this.#flush(call);
  }

  /** Sends as much of what waits as flow control lets through. */
  #flush(call: OpenCall): void {
    for (let next = call.waiting[0]; next !== undefined; next = call.waiting[0]) {
      const length = Math.min(next.bytes.byteLength, this.#maxFrameBytes, this.#window, call.window);
      if (length === 0 && next.bytes.byteLength > 0) return;
      const whole = length === next.bytes.byteLength;
      const flags = whole && next.last ? endStream : 0;
      this.#write(frameHead(frameTypes.data, flags, call.id, length));
      if (length > 0) this.#write(next.bytes.subarray(0, length));
      this.#window -= length;
      call.window -= length;
      if (whole) call.waiting.shift();
      else next.bytes = next.bytes.subarray(length);
    }
  }

  #flushAll(): void {
    for (const call of this.#calls.values()) {
      if (call.waiting.length > 0) this.#flush(call);
    }
  }

  /** What is written in one turn goes out together. */
  #write(bytes: Buffer): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  #receive(bytes: Buffer): void {
    let rest = this.#received.byteLength === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    while (rest.byteLength >= 9) {
      const length = rest.readUIntBE(0, 3);
      if (rest.byteLength < 9 + length) break;
      this.#onFrame(rest[3] ?? 0, rest[4] ?? 0, rest.readUInt32BE(5) & 0x7fffffff, rest.subarray(9, 9 + length));
      rest = rest.subarray(9 + length);
    }
    this.#received = rest;
  }

  #onFrame(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === frameTypes.data) this.#onData(flags, id, payload);
    else if (type === frameTypes.headers) this.#onHeaders(flags, id, payload);
    else if (type === frameTypes.reset) this.#end(id, false);
    else if (type === frameTypes.settings && (flags & acknowledge) === 0) this.#onSettings(payload);
    else if (type === frameTypes.ping && (flags & acknowledge) === 0) {
      this.#write(frame(frameTypes.ping, acknowledge, 0, payload));
    } else if (type === frameTypes.windowUpdate) this.#onWindowUpdate(id, payload.readUInt32BE(0) & 0x7fffffff);
    else if (type === frameTypes.goAway) this.#fail(new Error(`${this.#address} ends the connection.`));
  }

  #onData(flags: number, id: number, payload: Buffer): void {
    this.#unacknowledgedBytes += payload.byteLength;
    if (this.#unacknowledgedBytes > largestWindow / 4) {
      // A stream's own window holds 2 GiB, which no call here reaches.
      this.#write(windowUpdate(this.#unacknowledgedBytes));
      this.#unacknowledgedBytes = 0;
    }
    const call = this.#calls.get(id);
    if (call?.listener.onMessage !== undefined) this.#onMessages(call, unpadded(flags, payload));
    if ((flags & endStream) !== 0) this.#end(id, false);
  }

  #onMessages(call: OpenCall, bytes: Buffer): void {
    let rest = call.partial.byteLength === 0 ? bytes : Buffer.concat([call.partial, bytes]);
    while (rest.byteLength >= 5) {
      const length = rest.readUInt32BE(1);
      if (rest.byteLength < 5 + length) break;
      call.listener.onMessage?.(rest.subarray(5, 5 + length));
      rest = rest.subarray(5 + length);
    }
    call.partial = rest;
  }

  #onHeaders(flags: number, id: number, payload: Buffer): void {
    if ((flags & endHeaders) === 0) throw new Error("A header block in several frames is not read here.");
    if ((flags & endStream) === 0) return;
    const block = unpadded(flags, payload);
    this.#end(id, saysOk((flags & priority) === 0 ? block : block.subarray(5)));
  }

  #onSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.byteLength; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      const name = payload.readUInt16BE(at);
      if (name === 4) {
        for (const call of this.#calls.values()) call.window += value - this.#initialWindow;
        this.#initialWindow = value;
      } else if (name === 5) this.#maxFrameBytes = value;
    }
    this.#write(frame(frameTypes.settings, acknowledge, 0, Buffer.alloc(0)));
    this.#flushAll();
  }

  #onWindowUpdate(id: number, bytes: number): void {
    if (id === 0) {
      this.#window += bytes;
      this.#flushAll();
      return;
    }
    const call = this.#calls.get(id);
    if (call === undefined) return;
    call.window += bytes;
    this.#flush(call);
  }

  #end(id: number, ok: boolean): void {
    const call = this.#calls.get(id);
    // A server may reset a stream that it has answered.
    if (call === undefined) return;
    this.#calls.delete(id);
    call.listener.onEnd(ok);
  }

  #fail(error: Error): void {
    this.#error ??= error;
    for (const id of [...this.#calls.keys()]) this.#end(id, false);
  }
}

const frameHead = (type: number, flags: number, id: number, length: number): Buffer => {
  const bytes = Buffer.allocUnsafe(9);
  bytes.writeUIntBE(length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(id, 5);
  return bytes;
};

const frame = (type: number, flags: number, id: number, payload: Buffer): Buffer =>
  Buffer.concat([frameHead(type, flags, id, payload.byteLength), payload]);

const windowUpdate = (bytes: number): Buffer => {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(frameTypes.windowUpdate, 0, 0, payload);
};

/** A message behind gRPC's five bytes: not compressed, and its length. */
export const enveloped = (message: Buffer): Buffer => {
  const bytes = Buffer.allocUnsafe(5 + message.byteLength);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.byteLength, 1);
  message.copy(bytes, 5);
  return bytes;
};

const unpadded = (flags: number, payload: Buffer): Buffer =>
  (flags & padded) === 0 ? payload : payload.subarray(1, payload.byteLength - (payload[0] ?? 0));

// `grpc-status` and `0`, plainly and by the Huffman code of RFC 7541, appendix B; each behind its length.
const names = [Buffer.from("\x0bgrpc-status", "latin1"), Buffer.from("889acac8b21234da8f", "hex")];
const zeros = [Buffer.from([0x01, 0x30]), Buffer.from([0x81, 0x07])];
const statusesOk = names.flatMap((name) => zeros.map((zero) => Buffer.concat([name, zero])));

/** Whether a header block spells `grpc-status: 0`. */
const saysOk = (block: Buffer): boolean => statusesOk.some((status) => block.includes(status));
