import type { Servable } from "./servable.ts";
import { chooseVersion, highestVersion, type TrafficRules } from "./traffic-rules.ts";

// What it costs to choose a version, and how many sticky keys move when weights change, beside the rule that was rejected:
// node src/serving/traffic-rules.bench.ts

const versions = ["1", "2", "3"].map((version) => ({ name: "model", version, alive: true }) as Servable);
const rulesOf = (weights: readonly number[], isSticky: boolean): TrafficRules => ({
  ...highestVersion,
  weights: new Map(weights.map((weight, index) => [String(index + 1), weight])),
  sticky: isSticky ? { from: "header", name: "x-user" } : undefined,
});

const calls = 500_000;
for (const [name, ready, rules] of [
  ["one version", versions.slice(0, 1), rulesOf([100], false)],
  ["two by weight", versions.slice(0, 2), rulesOf([90, 10], false)],
  ["two by sticky key", versions.slice(0, 2), rulesOf([90, 10], true)],
] as const) {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    let call = 0;
    const keys = { header: () => `user ${call}` };
    const startedMs = performance.now();
    for (; call < calls; call++) chooseVersion(ready, rules, keys);
    times.push(((performance.now() - startedMs) * 1e6) / calls);
  }
  console.log(`${name}: ${Math.min(...times).toFixed(0)} ns a call`);
}

/** Cumulative shares of a point: the rejected rule. */
const byShare = (weights: readonly number[], point: number): number => {
  let left = point * weights.reduce((sum, weight) => sum + weight, 0);
  return weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
};

const keys = 100_000;
for (const [before, after] of [
  [
    [45, 45, 10],
    [40, 40, 20],
  ],
  [
    [50, 30, 20],
    [40, 30, 30],
  ],
  [
    [50, 30, 20],
    [20, 30, 50],
  ],
] as const) {
  let moved = 0;
  let movedByShare = 0;
  for (let key = 0; key < keys; key++) {
    const call = { header: () => `user ${key}` };
    if (chooseVersion(versions, rulesOf(before, true), call) !== chooseVersion(versions, rulesOf(after, true), call))
      moved++;
    if (byShare(before, (key + 0.5) / keys) !== byShare(after, (key + 0.5) / keys)) movedByShare++;
  }
  const percent = (count: number) => `${((100 * count) / keys).toFixed(1)} %`;
  console.log(`${before} to ${after}: rendezvous moves ${percent(moved)}, cumulative shares ${percent(movedByShare)}`);
}
