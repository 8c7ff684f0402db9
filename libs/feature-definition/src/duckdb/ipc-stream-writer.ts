import { RecordBatchStreamWriter } from "apache-arrow";

/** Writes an Arrow IPC stream, and hands out the bytes as they come, so that nothing piles up. */
export class IpcStreamWriter extends RecordBatchStreamWriter {
  #written: Uint8Array[] = [];

  /** The bytes written since the last call, joined. */
  takeWritten(): Uint8Array[] {
    const written = this.#written;
    this.#written = [];
    return written.length === 0 ? [] : [Buffer.concat(written)];
  }

  protected override _write(chunk: ArrayBufferView): this {
    if (this._started && chunk.byteLength > 0) {
      this.#written.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      this._position += chunk.byteLength;
    }
    return this;
  }
}
