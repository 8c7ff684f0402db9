const unitsUs: Readonly<Record<string, bigint>> = {
  us: 1n,
  ms: 1_000n,
  s: 1_000_000n,
  m: 60_000_000n,
  h: 3_600_000_000n,
  d: 86_400_000_000n,
};

/** The longest duration that a definition may name: a thousand years. */
const longestUs = 365_250n * 86_400_000_000n;

/**
 * Microseconds of a duration such as `250ms`, `30s`, `5m`, `24h` or `7d`.
 * @returns undefined if it is no such text, or is longer than a thousand years.
 */
export const parseDurationUs = (text: string): bigint | undefined => {
  const match = /^([0-9]{1,18})(us|ms|s|m|h|d)$/.exec(text);
  const us = unitsUs[match?.[2] ?? ""];
  if (match === null || us === undefined) return undefined;
  const durationUs = BigInt(match[1] ?? "0") * us;
  return durationUs <= longestUs ? durationUs : undefined;
};

/** The shortest spelling of a duration, such as `5m`. */
export const formatDurationUs = (durationUs: bigint): string => {
  const fitting = Object.entries(unitsUs).findLast(([, us]) => durationUs % us === 0n);
  const [unit, us] = fitting ?? ["us", 1n];
  return durationUs === 0n ? "0s" : `${durationUs / us}${unit}`;
};
