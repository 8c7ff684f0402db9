/**
 * Whether a prediction is among the share whose label is joined: by hash of its id (FNV-1a, 32 bits), so that a
 * prediction and its label are chosen alike, on every replica.
 * @param rate 0 to 1.
 */
export const isSampled = (id: string, rate: number): boolean => {
  if (rate >= 1) return true;
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  // The low bits of the hash are mixed best; a last mixing spreads short ids.
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
  return ((hash ^ (hash >>> 15)) >>> 0) / 4294967296 < rate;
};
