import { createHash } from "node:crypto";
import type { Servable } from "./servable.ts";

/** Who answers the calls of a name that ask for no version. */
export interface TrafficRules {
  /** Share by version, relative to each other. Empty: the highest version has all. */
  readonly weights: ReadonlyMap<string, number>;
  /** Calls with a header go to its version, whatever the weights say. Without a value any does. */
  readonly headers: readonly { readonly name: string; readonly value: string | undefined; readonly version: string }[];
  /** Calls with equal keys go to one version. */
  readonly sticky: { readonly from: "header" | "parameter" | "entity"; readonly name: string } | undefined;
  /** Versions that get a copy. */
  readonly shadows: readonly string[];
}

/** All to the highest version. */
export const highestVersion: TrafficRules = { weights: new Map(), headers: [], sticky: undefined, shadows: [] };

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
 */
export const chooseVersion = (
  versions: readonly Servable[],
  rules: TrafficRules,
  keys: RoutingKeys | undefined,
): Servable | undefined => {
  const [only] = versions;
  if (versions.length === 1 && rules.shadows.length === 0) return only;
  const alive = versions.filter((served) => served.alive);
  if (keys !== undefined) {
    for (const { name, value, version } of rules.headers) {
      const got = keys.header(name);
      if (got === undefined || (value !== undefined && value !== got)) continue;
      const served = alive.find((served) => served.version === version);
      if (served !== undefined) return served;
    }
  }
  const candidates = alive.filter(({ version }) => !rules.shadows.includes(version));
  if (rules.weights.size === 0) return candidates.at(-1) ?? versions.at(-1);
  const weightOf = ({ version }: Servable): number => rules.weights.get(version) ?? 0;
  let total = 0;
  for (const served of candidates) total += weightOf(served);
  if (total === 0) return undefined;
  // Without a call the version that answers most of them is meant.
  if (keys === undefined)
    return candidates.reduce((most, served) => (weightOf(served) > weightOf(most) ? served : most));
  let left = pointOf(stickyKey(rules, keys)) * total;
  for (const served of candidates) {
    left -= weightOf(served);
    if (left < 0) return served;
  }
  return candidates.findLast((served) => weightOf(served) > 0);
};

/** The share of the traffic that a version has, 0 to 1, while all of them can run. */
export const shareOf = (version: string, versions: readonly string[], rules: TrafficRules): number => {
  if (rules.shadows.includes(version)) return 0;
  if (rules.weights.size === 0) return versions.findLast((other) => !rules.shadows.includes(other)) === version ? 1 : 0;
  let total = 0;
  for (const other of versions) if (!rules.shadows.includes(other)) total += rules.weights.get(other) ?? 0;
  return total === 0 ? 0 : (rules.weights.get(version) ?? 0) / total;
};

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

/** A point in [0, 1): by the key's hash, so that every replica agrees; by chance where there is none. */
const pointOf = (key: string | undefined): number =>
  key === undefined ? Math.random() : createHash("sha256").update(key).digest().readUInt32BE(0) / 2 ** 32;
