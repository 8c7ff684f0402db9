import { pointOfTexts } from "./point-of-texts.ts";
import type { Servable } from "./servable.ts";

/** Who answers the calls of a name that ask for no version. */
export interface TrafficRules {
  /** Share by version, relative to each other. Empty: the highest version has all. */
  readonly weights: ReadonlyMap<string, number>;
  /** Calls with a header go to its version, whatever the weights say. Names are lower-case. Without a value any does. */
  readonly headers: readonly { readonly name: string; readonly value: string | undefined; readonly version: string }[];
  /** Calls with equal keys go to one version. */
  readonly sticky: { readonly from: "header" | "parameter" | "entity"; readonly name: string } | undefined;
  /** Versions that get a copy. */
  readonly shadows: readonly string[];
}

/** All to the highest version. */
export const highestVersion: TrafficRules = { weights: new Map(), headers: [], sticky: undefined, shadows: [] };

/** Answers no call that names no version. */
export const nobody: TrafficRules = { ...highestVersion, weights: new Map([["", 0]]) };

/** What a call can be told apart by. */
export interface RoutingKeys {
  header(name: string): string | undefined;
  parameter?(name: string): string | undefined;
  entity?(name: string): string | undefined;
}

/**
 * The version that answers a call: the one whose header it has; else one by weight, always the same for the same sticky
 * key as long as the weights are the same; else the highest. Only versions that can run are chosen, so that the share of
 * one that is lost falls to the others.
 * @param versions those that are ready, the lowest first.
 * @param random a number from 0 up to, not including, 1: spreads calls that have no sticky key.
 */
export const chooseVersion = (
  versions: readonly Servable[],
  rules: TrafficRules,
  keys: RoutingKeys | undefined,
  random: () => number = Math.random,
): Servable | undefined => {
  const { weights, shadows } = rules;
  const [only] = versions;
  if (only !== undefined && versions.length === 1 && mayAnswer(only, rules)) return only;
  if (keys !== undefined) {
    for (const { name, value, version } of rules.headers) {
      const got = keys.header(name);
      if (got === undefined || (value !== undefined && value !== got)) continue;
      const served = versions.find((served) => served.version === version);
      if (served?.alive === true) return served;
    }
  }
  if (weights.size === 0) {
    const candidates = versions.filter(({ version }) => !shadows.includes(version));
    return candidates.findLast(({ alive }) => alive) ?? candidates.at(-1);
  }
  // Without a call the version that answers most of them is meant.
  if (keys === undefined) return heaviest(versions, weights);
  const key = stickyKey(rules, keys);
  return key === undefined ? byChance(versions, weights, random) : byKey(versions, weights, key);
};

/** The share of the traffic that a version has, 0 to 1, while all of them can run. */
export const shareOf = (version: string, versions: readonly string[], rules: TrafficRules): number => {
  if (rules.shadows.includes(version)) return 0;
  if (rules.weights.size === 0) return versions.findLast((other) => !rules.shadows.includes(other)) === version ? 1 : 0;
  let total = 0;
  for (const other of versions) total += rules.weights.get(other) ?? 0;
  return total === 0 ? 0 : (rules.weights.get(version) ?? 0) / total;
};

/** Whether a version may get calls that name none and have no header. */
const mayAnswer = ({ version }: { readonly version: string }, { weights, shadows }: TrafficRules): boolean =>
  weights.size === 0 ? !shadows.includes(version) : (weights.get(version) ?? 0) > 0;

const stickyKey = ({ sticky }: TrafficRules, keys: RoutingKeys): string | undefined => {
  switch (sticky?.from) {
    case "header":
      return keys.header(sticky.name);
    case "parameter":
      return keys.parameter?.(sticky.name);
    case "entity":
      return keys.entity?.(sticky.name);
    default:
      return undefined;
  }
};

const heaviest = (versions: readonly Servable[], weights: TrafficRules["weights"]): Servable | undefined => {
  let most: Servable | undefined;
  let weight = 0;
  for (const served of versions) {
    const own = weights.get(served.version) ?? 0;
    if (own <= weight || !served.alive) continue;
    weight = own;
    most = served;
  }
  return most;
};

const byChance = (
  versions: readonly Servable[],
  weights: TrafficRules["weights"],
  random: () => number,
): Servable | undefined => {
  let total = 0;
  for (const served of versions) if (served.alive) total += weights.get(served.version) ?? 0;
  let left = random() * total;
  let last: Servable | undefined;
  for (const served of versions) {
    const weight = weights.get(served.version) ?? 0;
    if (weight === 0 || !served.alive) continue;
    last = served;
    left -= weight;
    if (left < 0) return served;
  }
  return last;
};

/**
 * Weighted rendezvous hashing: each version draws an arrival time from the key's hash, exponentially distributed with its
 * weight as the rate, and the first wins. So each wins its share of keys; every replica agrees; a key goes from one
 * version to another only where the weight of the other has risen relative to its own; and where a version is not there,
 * only its keys go elsewhere.
 * @see Thaler and Ravishankar 1998 (rendezvous hashing); Moulton and Jiang 2018 (at most 2d / (1 + d) of the keys move,
 *   where d is the share of the traffic that does; no rule without memory can promise less).
 */
const byKey = (versions: readonly Servable[], weights: TrafficRules["weights"], key: string): Servable | undefined => {
  let first: Servable | undefined;
  let firstTime = Infinity;
  for (const served of versions) {
    const weight = weights.get(served.version) ?? 0;
    if (weight === 0 || !served.alive) continue;
    // The name is part of it, so that the callers who see a canary are not the same for every model.
    const time = -Math.log(pointOfTexts(served.name, served.version, key)) / weight;
    if (time >= firstTime && first !== undefined) continue;
    first = served;
    firstTime = time;
  }
  return first;
};
