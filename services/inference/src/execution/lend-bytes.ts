/** Bytes that all threads see without a copy of their own, as those of a model for each of its instances. */
export const sharedBytes = (bytes: Uint8Array): Uint8Array => {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  shared.set(bytes);
  return shared;
};

/**
 * Lends copies to what takes no shared memory, as the runtime that loads a model, and frees them at once afterwards: a
 * thread that then only waits would keep them until its next collection, which may never come.
 */
export const lendBytes = async <T>(
  shared: readonly Uint8Array[],
  use: (own: readonly Uint8Array[]) => Promise<T>,
): Promise<T> => {
  const own = shared.map((bytes) => bytes.slice());
  try {
    return await use(own);
  } finally {
    for (const { buffer } of own) buffer.transfer(0);
  }
};
