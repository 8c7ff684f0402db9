/**
 * Shapley values by their definition: the mean, over every order of the units, of what a unit changes when it is made
 * known. Slow and obvious: n! orders.
 * @param game the answer where just these units are known.
 */
export const shapleyByDefinition = (units: number, game: (known: ReadonlySet<number>) => number): number[] => {
  const sums = new Array<number>(units).fill(0);
  let orders = 0;
  const walk = (order: readonly number[]): void => {
    if (order.length < units) {
      for (let unit = 0; unit < units; unit++) if (!order.includes(unit)) walk([...order, unit]);
      return;
    }
    orders++;
    for (const [place, unit] of order.entries()) {
      const before = new Set(order.slice(0, place));
      sums[unit] = (sums[unit] ?? 0) + game(new Set([...before, unit])) - game(before);
    }
  };
  walk([]);
  return sums.map((sum) => sum / orders);
};
