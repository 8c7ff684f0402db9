import type { JsonValue } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { exampleSpec } from "../../test/examples.fixture.ts";
import { checkSearch } from "./check-search.ts";
import { withParameters } from "./trial-parameters.ts";
import { trialsOf } from "./trials.ts";

const searching = (search: JsonValue, trainer: Readonly<Record<string, JsonValue>> = {}) =>
  exampleSpec({ search }, trainer);

const complaints = (search: JsonValue, trainer?: Readonly<Record<string, JsonValue>>) => {
  const found: string[] = [];
  checkSearch(searching(search, trainer), (field, expected, got) => found.push(`${field}: ${expected}, got ${got}`));
  return found;
};

describe("a search", () => {
  test("by a grid tries every combination, in the order of the names and of their values", () => {
    const spec = searching({ grid: { over: { l2: { values: [0.1, 0] }, epochs: { values: [2, 1, 3] } } } });
    expect(trialsOf(spec)).toEqual(
      [
        [2, 0.1],
        [2, 0],
        [1, 0.1],
        [1, 0],
        [3, 0.1],
        [3, 0],
      ].map(([epochs, l2], index) => ({ number: index + 1, parameters: { epochs, l2 } })),
    );
  });

  test("by chance draws the same for the same seed, within the ranges, whole numbers where they have to be", () => {
    const over = {
      learningRate: { logUniform: { low: 0.0001, high: 0.1 } },
      "layers[1].dropout": { uniform: { low: 0, high: 0.5 } },
      batchSize: { uniform: { low: 16, high: 64 } },
      l2: { choice: { values: [0, 0.5] } },
    };
    const spec = searching({ random: { trials: 400, over } });
    const trials = trialsOf(spec);
    expect(trialsOf(searching({ random: { trials: 400, over } }))).toEqual(trials);
    spec.seed = 8n;
    expect(trialsOf(spec)).not.toEqual(trials);
    const valuesOf = (name: string) => trials.map(({ parameters }) => parameters[name] ?? Number.NaN);
    const rates = valuesOf("learningRate");
    expect(rates.every((rate) => rate >= 0.0001 && rate <= 0.1)).toBe(true);
    // By the logarithm: as many below the geometric mean as above it.
    const below = rates.filter((rate) => rate < Math.sqrt(0.0001 * 0.1)).length;
    expect(Math.abs(below - 200)).toBeLessThan(50);
    expect(valuesOf("batchSize").every((size) => Number.isInteger(size) && size >= 16 && size <= 64)).toBe(true);
    expect(new Set(valuesOf("l2"))).toEqual(new Set([0, 0.5]));
    expect(Math.max(...valuesOf("layers[1].dropout"))).toBeGreaterThan(0.45);
  });

  test("sets the parameters of a trial's spec, and nothing else", () => {
    const spec = searching({ grid: { over: { epochs: { values: [9] } } } });
    const parameters = { epochs: 9, learningRate: 0.5, "layers[0].dense": 4, "layers[1].dropout": 0.25 };
    const changed = withParameters(spec, parameters);
    const expected = exampleSpec(
      {},
      {
        epochs: 9,
        learningRate: 0.5,
        layers: [{ dense: 4 }, { dropout: 0.25 }, { batchNormalization: {} }, { dense: 8 }],
      },
    );
    expect(changed).toEqual(expected);
    expect(spec).toEqual(searching({ grid: { over: { epochs: { values: [9] } } } }));
  });

  test.each<[string, JsonValue, string[]]>([
    ["nothing", {}, ["search: random or grid, got neither"]],
    ["no parameter", { grid: {} }, ["search.grid.over: at least one parameter, got none"]],
    [
      "no trials",
      { random: { over: { l2: { choice: { values: [1] } } } } },
      ["search.random.trials: 1 to 1000 trials, got 0"],
    ],
    [
      "an unknown name",
      { grid: { over: { learningrate: { values: [1] } } } },
      [
        "search.grid.over[learningrate]: one of learningRate, l2, epochs, batchSize, layers[0].dense, layers[1].dropout, layers[3].dense, got learningrate",
      ],
    ],
    [
      "values that cannot be",
      { grid: { over: { epochs: { values: [0, 1.5, 2] } } } },
      [
        "search.grid.over[epochs]: whole numbers from 1 to 10000, got 0",
        "search.grid.over[epochs]: whole numbers from 1 to 10000, got 1.5",
      ],
    ],
    ["no values", { grid: { over: { epochs: {} } } }, ["search.grid.over[epochs]: values, got none"]],
    [
      "too many",
      {
        grid: {
          over: {
            epochs: { values: Array.from({ length: 40 }, (_, i) => i + 1) },
            batchSize: { values: Array.from({ length: 40 }, (_, i) => i + 1) },
          },
        },
      },
      ["search.grid.over: at most 1000 combinations, got 1600"],
    ],
    [
      "a range upside down",
      { random: { trials: 1, over: { l2: { uniform: { low: 1, high: 0 } } } } },
      ["search.random.over[l2]: a low end below the high one, got 1 to 0"],
    ],
    [
      "a logarithm of 0",
      { random: { trials: 1, over: { l2: { logUniform: { low: 0, high: 1 } } } } },
      ["search.random.over[l2]: a low end above 0, got 0"],
    ],
    [
      "no range",
      { random: { trials: 1, over: { l2: {} } } },
      [
        "search.random.over[l2]: values, got none",
        "search.random.over[l2]: one of uniform, log_uniform and choice, got none",
      ],
    ],
  ])("over %s is refused", (_what, search, expected) => {
    expect(complaints(search)).toEqual(expected);
  });

  test("takes early stopping's patience where the spec has it", () => {
    const search = { grid: { over: { "earlyStopping.patience": { values: [2] } } } };
    expect(complaints(search)).toHaveLength(1);
    expect(complaints(search, { earlyStopping: { patience: 1 } })).toEqual([]);
  });
});
