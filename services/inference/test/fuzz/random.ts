/** Choices that a seed decides. */
export interface Random {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  chance(share: number): boolean;
  pick<T>(choices: readonly [T, ...T[]]): T;
  bytes(length: number): Uint8Array;
}

/** Mulberry32, by Tommy Ettinger: small, and good enough to make nonsense. */
export const randomOf = (seed: number): Random => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    below,
    chance: (share) => next() < share,
    pick: (choices) => choices[below(choices.length)] ?? choices[0],
    bytes: (length) => Uint8Array.from({ length }, () => below(256)),
  };
};

/** Bytes with some of them changed, cut off, repeated or put in between. */
export const mutate = (random: Random, bytes: Uint8Array): Uint8Array => {
  let mutated = Uint8Array.from(bytes);
  for (let times = 1 + random.below(4); times > 0; times--) {
    const at = random.below(mutated.length + 1);
    switch (random.below(5)) {
      case 0:
        if (at < mutated.length) mutated[at] = random.below(256);
        break;
      case 1:
        if (at < mutated.length) mutated[at] = (mutated[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 2:
        mutated = mutated.slice(0, at);
        break;
      case 3:
        mutated = Uint8Array.from([...mutated.subarray(0, at), ...mutated.subarray(random.below(at + 1))]);
        break;
      default:
        mutated = Uint8Array.from([
          ...mutated.subarray(0, at),
          ...random.bytes(1 + random.below(9)),
          ...mutated.subarray(at),
        ]);
    }
  }
  return mutated;
};
