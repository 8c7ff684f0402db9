/**
 * A way from a background row to the explained row: its elements are made known one after the other. What is evaluated
 * are the rows after `from` to `to` of them, both included.
 */
export interface Walk {
  readonly background: number;
  /** The units in the order in which they are made known. */
  readonly order: Uint32Array;
  readonly from: number;
  readonly to: number;
}

/** Evaluates the model on every row of every walk. @returns the values, walk after walk. */
export type Evaluate = (walks: readonly Walk[]) => Promise<Float64Array>;

export interface ShapleyInput {
  /** By background row: the units whose value it does not have. The others contribute nothing against that row. */
  readonly different: readonly Uint32Array[];
  readonly units: number;
  /** The model's answer to each background row. */
  readonly backgroundValues: Float64Array;
  /** The model's answer to the explained row. */
  readonly value: number;
  /** Orders that are sampled; each is walked forwards and backwards. */
  readonly permutations: number;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

export interface ShapleyValues {
  /** By unit. With the mean of the background's values they sum to the value. */
  readonly contributions: Float64Array;
  /** By unit, of the sampling; 0 where each background row was worked out exactly. NaN for a single permutation. */
  readonly standardErrors: Float64Array;
}

/**
 * Shapley values of one row: what each unit contributes to the model's answer, on average over the orders in which units
 * can be made known, and over the background rows that stand for what is not known.
 *
 *     order u2 u0 u1, background row b:   f(b) ─u2─▶ f(b with u2) ─u0─▶ f(b with u2, u0) ─u1─▶ f(x)
 *                                              each step is the contribution of its unit in this order
 *
 * Each sampled order is walked against every background row, forwards and backwards (antithetic: the two cancel the
 * pairwise interactions), so that the contributions sum to value less base in every order, and a linear model has no
 * sampling error at all. Against a background row that differs in so few units that all their subsets are no more rows
 * than the walks, all subsets are evaluated, and the values are exact.
 * @see Castro, Gómez and Tejada 2009 (sampling of permutations); Mitchell, Cooper, Frank and Holmes 2022 (antithetic).
 */
export const shapleyValues = async (input: ShapleyInput, evaluate: Evaluate): Promise<ShapleyValues> => {
  const { different, units, permutations } = input;
  const orders = Array.from({ length: permutations }, () => shuffled(units, input.random));
  const walks: Walk[] = [];
  for (const [background, own] of different.entries()) {
    const isOwn = new Uint8Array(units);
    for (const unit of own) isOwn[unit] = 1;
    const part = isExact(own.length, permutations)
      ? subsetWalks(background, own)
      : orders.flatMap((order) => {
          const forwards = order.filter((unit) => isOwn[unit] === 1);
          const to = own.length - 1;
          const backwards = forwards.slice().reverse();
          return [forwards, backwards].map((order) => ({ background, order, from: 1, to }));
        });
    for (const walk of part) walks.push(walk);
  }
  const values = await evaluate(walks);
  return collect(input, walks, values);
};

/** Rows that are evaluated against one background row which differs in so many units. */
export const rowsOfWalks = (different: number, permutations: number): number =>
  different <= 1 ? 0 : isExact(different, permutations) ? 2 ** different - 2 : 2 * permutations * (different - 1);

const isExact = (different: number, permutations: number): boolean =>
  different <= 1 || (different <= 20 && 2 ** different - 2 <= 2 * permutations * (different - 1));

/** A walk of one row for each subset that is neither empty nor all. */
const subsetWalks = (background: number, units: Uint32Array): Walk[] => {
  const walks: Walk[] = [];
  if (units.length < 2) return walks;
  for (let subset = 1; subset < 2 ** units.length - 1; subset++) {
    const order = units.filter((_, place) => (subset & (1 << place)) !== 0);
    walks.push({ background, order, from: order.length, to: order.length });
  }
  return walks;
};

const collect = (
  { different, units, backgroundValues, value, permutations }: ShapleyInput,
  walks: readonly Walk[],
  values: Float64Array,
): ShapleyValues => {
  const exact = new Float64Array(units);
  const sampled = Array.from({ length: permutations }, () => new Float64Array(units));
  let at = 0;
  let walk = 0;
  for (const [background, own] of different.entries()) {
    const start = backgroundValues[background] ?? 0;
    if (isExact(own.length, permutations)) {
      const rows = rowsOfWalks(own.length, permutations);
      addExact(exact, own, start, values.subarray(at, at + rows), value);
      at += rows;
      walk += rows;
      continue;
    }
    for (let turn = 0; turn < 2 * permutations; turn++) {
      const sums = sampled[turn >> 1];
      const order = walks[walk++]?.order;
      if (sums === undefined || order === undefined) continue;
      let before = start;
      for (const [place, unit] of order.entries()) {
        const after = place === order.length - 1 ? value : (values[at++] ?? 0);
        sums[unit] = (sums[unit] ?? 0) + (after - before) / 2;
        before = after;
      }
    }
  }
  return averaged(exact, sampled, different.length, permutations);
};

/** Adds the Shapley values of a game whose every subset is known. */
const addExact = (sums: Float64Array, units: Uint32Array, empty: number, subsets: Float64Array, full: number): void => {
  const count = units.length;
  const all = 2 ** count - 1;
  const gameValue = (subset: number): number =>
    subset === 0 ? empty : subset === all ? full : (subsets[subset - 1] ?? 0);
  // The share of orders in which just so many units come before a given one: s! (n - s - 1)! / n!.
  const weights = [1 / count];
  for (let size = 1; size < count; size++) weights.push(((weights[size - 1] ?? 0) * size) / (count - size));
  for (let subset = 0; subset <= all; subset++) {
    const weight = weights[bitCount(subset)] ?? 0;
    for (const [place, unit] of units.entries()) {
      const bit = 1 << place;
      if ((subset & bit) !== 0) continue;
      sums[unit] = (sums[unit] ?? 0) + weight * (gameValue(subset | bit) - gameValue(subset));
    }
  }
};

const bitCount = (number: number): number => {
  let count = 0;
  for (let rest = number; rest !== 0; rest &= rest - 1) count++;
  return count;
};

const averaged = (
  exact: Float64Array,
  sampled: readonly Float64Array[],
  backgrounds: number,
  permutations: number,
): ShapleyValues => {
  const isSampled = sampled.some((sums) => sums.some((sum) => sum !== 0));
  const contributions = exact.map((sum, unit) => {
    let total = 0;
    for (const sums of sampled) total += sums[unit] ?? 0;
    return (sum + total / permutations) / backgrounds;
  });
  const standardErrors = exact.map((_, unit) => {
    if (!isSampled) return 0;
    let mean = 0;
    for (const sums of sampled) mean += (sums[unit] ?? 0) / permutations;
    let squares = 0;
    for (const sums of sampled) squares += ((sums[unit] ?? 0) - mean) ** 2;
    return Math.sqrt(squares / (permutations - 1) / permutations) / backgrounds;
  });
  return { contributions, standardErrors };
};

const shuffled = (count: number, random: () => number): Uint32Array => {
  const order = Uint32Array.from({ length: count }, (_, unit) => unit);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const unit = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = unit;
  }
  return order;
};
