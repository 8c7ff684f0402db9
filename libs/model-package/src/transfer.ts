import type { Digest } from "./digest.ts";

/** How far the bytes of one blob have come on their way to a store or from it. */
export interface Transfer {
  readonly direction: "push" | "pull";
  readonly blob: Digest;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Told as bytes move, at most once a chunk; it must return soon. A transfer that begins anew counts anew. */
export type TransferObserver = (transfer: Transfer) => void;
