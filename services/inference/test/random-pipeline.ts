/** A pipeline of random form, and what it must answer. */
export interface RandomPipeline {
  readonly name: string;
  /** The JSON form of the Pipeline message. */
  readonly declaration: object;
  readonly inputs: readonly string[];
  /** Runs the models one by one, in the order in which the steps were drawn. */
  readonly byHand: (
    given: Readonly<Record<string, readonly number[]>>,
    infer: (model: string, inputs: Record<string, readonly number[]>) => Promise<Record<string, number[]>>,
  ) => Promise<Record<string, readonly number[]>>;
}

interface DrawnStep {
  readonly name: string;
  readonly model: string;
  readonly reads: Readonly<Record<string, string>>;
  readonly output: string;
  readonly tensor: string;
}

/**
 * Draws two to seven steps over the models `double`, `triple` (x to y) and `add` (a, b to sum), all of FP32 [rows, 2].
 * Each reads what the pipeline is given or what an earlier step gave; what nobody reads are the outputs. The steps are
 * declared in a random order.
 */
export const randomPipeline = (name: string, random: () => number): RandomPipeline => {
  const pick = <T>(list: readonly T[]): T => {
    const one = list[Math.floor(random() * list.length)];
    if (one === undefined) throw new RangeError("There is nothing to pick from.");
    return one;
  };
  const inputs = random() < 0.5 ? ["in"] : ["in", "more"];
  const tensors = [...inputs];
  const steps: DrawnStep[] = [];
  const count = 2 + Math.floor(random() * 6);
  for (let index = 0; index < count; index++) {
    const model = pick(["double", "triple", "add"]);
    // The first steps read the inputs, so that each of them is one.
    const read = () => inputs[index] ?? pick(tensors);
    const step = {
      name: `s${index}`,
      model,
      reads: (model === "add" ? { a: read(), b: pick(tensors) } : { x: read() }) as Record<string, string>,
      output: model === "add" ? "sum" : "y",
      tensor: random() < 0.5 ? `s${index}.${model === "add" ? "sum" : "y"}` : `t${index}`,
    };
    steps.push(step);
    tensors.push(step.tensor);
  }
  const read = new Set(steps.flatMap(({ reads }) => Object.values(reads)));
  const leaves = steps.filter(({ tensor }) => !read.has(tensor)).map(({ tensor }) => tensor);
  const outputs = Object.fromEntries(leaves.map((tensor, index) => [`out${index}`, tensor]));
  const declaration = {
    outputs,
    steps: steps
      .map((step) => ({ step, order: random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ step: { name: own, model, reads, output, tensor } }) => ({
        name: own,
        model,
        inputs: reads,
        ...(tensor === `${own}.${output}` ? {} : { outputs: { [output]: tensor } }),
      })),
  };
  return {
    name,
    declaration,
    inputs,
    byHand: async (given, infer) => {
      const known: Record<string, readonly number[]> = { ...given };
      for (const { model, reads, output, tensor } of steps) {
        const own = Object.fromEntries(Object.entries(reads).map(([input, from]) => [input, known[from] ?? []]));
        known[tensor] = (await infer(model, own))[output] ?? [];
      }
      return Object.fromEntries(Object.entries(outputs).map(([output, tensor]) => [output, known[tensor] ?? []]));
    },
  };
};
