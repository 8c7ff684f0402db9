import { randomUUID } from "node:crypto";
import { MillraceError, Reason } from "@millrace/errors";
import type { Kv } from "@millrace/kv";

/** What is kept of an erasure: nothing that names the entity but its keyed hash. */
export interface ErasureReceipt {
  readonly entity: string;
  readonly hash: string;
  readonly erasedAtUs: number;
  readonly requestedBy: string;
  readonly onlineRows: number;
  readonly logRecords: number;
  readonly outside: readonly string[];
}

/** Thrown when no receipt has the id. */
export class ReceiptUnknownError extends MillraceError {
  constructor(id: string) {
    super("NOT_FOUND", Reason.ENTITY_UNKNOWN, `There is no receipt ${id} of an erasure.`, {
      resource: { kind: "erasure receipt", name: id },
    });
  }
}

const utf8 = new TextEncoder();
const keyOf = (id: string): Uint8Array => utf8.encode(`{erasure}/receipt/${id}`);

/** The receipts of erasures, in the registry's store. */
export class ErasureReceipts {
  readonly #kv: Kv;

  constructor(kv: Kv) {
    this.#kv = kv;
  }

  /** @returns its id. */
  async write(receipt: ErasureReceipt): Promise<string> {
    const id = randomUUID();
    const value = utf8.encode(JSON.stringify(receipt));
    await this.#kv.compareAndSetMany([{ key: keyOf(id), expectedVersion: 0, value }]);
    return id;
  }

  /** @throws ReceiptUnknownError */
  async read(id: string): Promise<ErasureReceipt> {
    const [bytes] = id.length > 64 ? [] : await this.#kv.getMany([keyOf(id)]);
    if (bytes === undefined) throw new ReceiptUnknownError(id);
    return JSON.parse(new TextDecoder().decode(bytes));
  }
}
