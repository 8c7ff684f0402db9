import type { Run } from "@millrace/contracts/millrace/training/v1/training_service";
import { draw, reliabilityDiagram } from "@millrace/report";

const size = { width: 340, height: 180 } as const;
const mostInputs = 15;

const titled = (text: string) => ({ ...size, title: { text, fontSize: 12 } });

/** The losses of each epoch; undefined where a program tells none. */
export const lossChart = async ({ epochs }: Run): Promise<string | undefined> => {
  const values = epochs.flatMap(({ epoch, trainingLoss, validationLoss }) => [
    { epoch, loss: trainingLoss, split: "training" },
    { epoch, loss: validationLoss, split: "validation" },
  ]);
  return lines("Loss by epoch", values, "split");
};

/** The validation loss of each epoch of several runs. */
export const validationLossChart = async (
  runs: readonly { readonly name: string; readonly run: Run }[],
): Promise<string | undefined> => {
  const values = runs.flatMap(({ name, run }) =>
    run.epochs.map(({ epoch, validationLoss }) => ({ epoch, loss: validationLoss, run: name })),
  );
  return lines("Validation loss by epoch", values, "run");
};

const lines = async (
  title: string,
  values: readonly { readonly epoch: number; readonly loss: number }[],
  series: string,
): Promise<string | undefined> => {
  const known = values.filter(({ loss }) => Number.isFinite(loss));
  if (known.length === 0) return undefined;
  return draw({
    ...titled(title),
    data: { values: [...known] },
    mark: { type: "line", point: true },
    encoding: {
      x: { field: "epoch", type: "ordinal", axis: { labelAngle: 0 } },
      y: { field: "loss", type: "quantitative", title: null, scale: { zero: false } },
      color: { field: series, type: "nominal", sort: null },
    },
  });
};

/** What came of what was predicted on the test split; undefined for a regression. */
export const calibrationChart = async ({ calibrationBins }: Run): Promise<string | undefined> =>
  calibrationBins.length === 0
    ? undefined
    : reliabilityDiagram(
        "Calibration on the test split",
        calibrationBins.map(({ meanScore, positiveShare }) => ({ score: meanScore, positiveShare })),
      );

/** What each input is worth, the most first. */
export const importanceChart = async ({ importance }: Run): Promise<string | undefined> => {
  const values = Object.entries(importance)
    .map(([input, rise]) => ({ input, rise }))
    .sort((a, b) => b.rise - a.rise)
    .slice(0, mostInputs);
  if (values.length === 0) return undefined;
  return draw({
    ...titled("Rise of the loss without an input"),
    data: { values },
    mark: "bar",
    encoding: {
      y: { field: "input", type: "nominal", sort: null, title: null },
      x: { field: "rise", type: "quantitative", title: null },
    },
  });
};

/** The validation loss of each trial of a search. */
export const trialChart = async ({ trials }: Run): Promise<string | undefined> => {
  const values = trials.flatMap(({ number, validationLoss, chosen }) =>
    validationLoss === undefined ? [] : [{ trial: number, loss: validationLoss, trials: chosen ? "chosen" : "others" }],
  );
  if (values.length === 0) return undefined;
  return draw({
    ...titled("Validation loss by trial"),
    data: { values },
    mark: { type: "point", filled: true, size: 60 },
    encoding: {
      x: { field: "trial", type: "ordinal", axis: { labelAngle: 0 } },
      y: { field: "loss", type: "quantitative", title: null, scale: { zero: false } },
      color: {
        field: "trials",
        type: "nominal",
        sort: null,
        scale: { domain: ["chosen", "others"], range: ["#d9480f", "#8a8a8a"] },
      },
    },
  });
};
