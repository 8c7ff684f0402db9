/**
 * A seeded source of uniform numbers in [0, 1) with 32 random bits: the same seed gives the same numbers everywhere. For
 * resampling, not for secrets. Algorithm: splitmix32 (a counter through a mixing function).
 */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return (mixed >>> 0) / 4294967296;
  };
};
