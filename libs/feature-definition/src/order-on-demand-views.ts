import type { OnDemandView } from "@millrace/contracts/millrace/feature/v1/feature_repository";

export interface OrderedViews {
  /** Each after those that it reads. */
  readonly ordered: readonly OnDemandView[];
  /** Views of which each reads the next, and the last the first. What reads them is neither here nor among the ordered. */
  readonly cycles: readonly (readonly OnDemandView[])[];
  /** Views that stand at the end of too long a chain, with its length. */
  readonly tooDeep: ReadonlyMap<OnDemandView, number>;
}

/** How many on-demand views may stand on one another: each is a step of its own for every row. */
export const longestChain = 32;

/** Orders on-demand views so that each comes after those that it reads, in time that grows with their number only. */
export const orderOnDemandViews = (views: readonly OnDemandView[]): OrderedViews => {
  const byName = new Map(views.map((view) => [view.name, view]));
  const inputs = new Map(
    views.map((view) => [view, new Set(inputsOf(view).flatMap((name) => byName.get(name) ?? []))]),
  );
  const readers = new Map<OnDemandView, OnDemandView[]>();
  for (const [view, read] of inputs)
    for (const input of read) readers.set(input, [...(readers.get(input) ?? []), view]);
  const missing = new Map(views.map((view) => [view, inputs.get(view)?.size ?? 0]));
  const depths = new Map<OnDemandView, number>();
  const ordered = views.filter((view) => missing.get(view) === 0);
  for (const view of ordered) {
    depths.set(
      view,
      1 + [...(inputs.get(view) ?? [])].reduce((deepest, input) => Math.max(deepest, depths.get(input) ?? 0), 0),
    );
    for (const reader of readers.get(view) ?? []) {
      const left = (missing.get(reader) ?? 0) - 1;
      missing.set(reader, left);
      if (left === 0) ordered.push(reader);
    }
  }
  const tooDeep = new Map([...depths].filter(([, depth]) => depth > longestChain));
  const rest = new Set(views.filter((view) => !depths.has(view)));
  return { ordered: ordered.filter((view) => !tooDeep.has(view)), cycles: cyclesOf(rest, inputs), tooDeep };
};

/** @param rest views of which each reads at least one other of them. */
const cyclesOf = (
  rest: ReadonlySet<OnDemandView>,
  inputs: ReadonlyMap<OnDemandView, ReadonlySet<OnDemandView>>,
): OnDemandView[][] => {
  const cycles: OnDemandView[][] = [];
  const walked = new Set<OnDemandView>();
  for (const start of rest) {
    const way = new Set<OnDemandView>();
    let view: OnDemandView | undefined = start;
    while (view !== undefined && !walked.has(view)) {
      walked.add(view);
      way.add(view);
      view = [...(inputs.get(view) ?? [])].find((input) => rest.has(input));
    }
    if (view !== undefined && way.has(view)) {
      const steps = [...way];
      cycles.push(steps.slice(steps.indexOf(view)));
    }
  }
  return cycles;
};

const inputsOf = ({ inputs }: OnDemandView): string[] =>
  inputs.map((input) => input.slice(0, Math.max(0, input.indexOf("."))));
