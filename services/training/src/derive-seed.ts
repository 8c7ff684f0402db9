/**
 * A 32-bit seed that depends on a run's seed and on what it is for (the epoch, the step, the layer …), so that nothing
 * random has to be stored: the same place gives the same numbers, also after a restart.
 * @param seed the spec's. @param tags whole numbers that name the place.
 */
export const deriveSeed = (seed: bigint, ...tags: readonly number[]): number => {
  const bits = BigInt.asUintN(64, seed);
  let state = mix(Number(bits & 0xffff_ffffn) ^ mix(Number(bits >> 32n)));
  for (const tag of tags) {
    state = mix(state ^ mix(tag + 0x9e37_79b9));
  }
  return state;
};

/** The finalizer of MurmurHash3 (Appleby): every bit of the input moves every bit of the answer. */
const mix = (value: number): number => {
  let mixed = value >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
};
