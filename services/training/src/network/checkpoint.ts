import { open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { AdamState } from "./adam.ts";

/** One finished epoch. */
export interface FinishedEpoch {
  /** From 1. */
  readonly epoch: number;
  readonly trainingLoss: number;
  readonly validationLoss: number;
  readonly seconds: number;
  /** What a program of the `command` trainer tells of it. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/**
 * All that training needs to go on as if nothing had happened. What is random needs no state: it is derived from seed,
 * epoch and step.
 */
export interface Checkpoint {
  /** The backend and network that it belongs to; another one starts anew. */
  readonly key: string;
  readonly weights: readonly Float32Array[];
  readonly adam: AdamState;
  readonly epochs: readonly FinishedEpoch[];
  /** For early stopping: the best epoch so far, and its weights. */
  readonly best: { readonly epoch: number; readonly loss: number; readonly weights: readonly Float32Array[] };
}

/** Replaces the file whole: a crash at any moment leaves the old one or the new one. */
export const writeCheckpoint = async (file: string, checkpoint: Checkpoint): Promise<void> => {
  await replaceFile(file, serialize(checkpoint));
};

/** The checkpoint, or undefined where there is none with this key. */
export const readCheckpoint = async (file: string, key: string): Promise<Checkpoint | undefined> => {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      return undefined;
    }
    throw error;
  });
  if (bytes === undefined) {
    return undefined;
  }
  const checkpoint = deserialize(bytes) as Checkpoint;
  return checkpoint.key === key ? checkpoint : undefined;
};

/** Writes a file beside the old one, makes it durable, and puts it in the old one's place. */
export const replaceFile = async (file: string, bytes: Uint8Array): Promise<void> => {
  const beside = `${file}.${process.pid}.new`;
  const handle = await open(beside, "w");
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(beside, file);
  const folder = await open(join(dirname(file), "."), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};
