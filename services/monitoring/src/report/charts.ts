import type { ColumnLayout, ColumnProfile, Performance } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Window } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { draw, reliabilityDiagram } from "@millrace/report";
import { calibrationCurve, isNumeric } from "@millrace/stats";

const WIDTH = 340;
const HEIGHT = 180;
const BEFORE = "#8a8a8a";
const AFTER = "#d9480f";

const dayOf = ({ from }: Window): string =>
  new Date(Number(from?.seconds ?? 0n) * 1000).toISOString().slice(0, 16).replace("T00:00", "");

const windowAxis = { field: "window", type: "ordinal", axis: { title: null, labelAngle: -45 } } as const;

/** A measure over the windows, with its thresholds as a dashed line. @returns undefined where it has no value. */
export const measureChart = async (
  windows: readonly Window[],
  title: string,
  series: readonly { readonly label: string; readonly column: string; readonly measure: string }[],
  zero = true,
): Promise<string | undefined> => {
  const points: { window: string; value: number; series: string; low?: number; high?: number }[] = [];
  const thresholds: { window: string; value: number }[] = [];
  for (const window of windows)
    for (const { label, column, measure } of series) {
      const measures =
        column === "" ? window.measures : (window.columns.find((each) => each.column === column)?.measures ?? []);
      const found = measures.find(({ name, noValue }) => name === measure && noValue === "");
      if (found === undefined) continue;
      const error = found.standardError;
      points.push({
        window: dayOf(window),
        value: found.value,
        series: label,
        ...(error === undefined ? {} : { low: found.value - 2 * error, high: found.value + 2 * error }),
      });
      if (found.threshold !== undefined) thresholds.push({ window: dayOf(window), value: found.threshold });
    }
  if (points.length === 0) return undefined;
  const y = { field: "value", type: "quantitative", title: null, scale: { zero } } as const;
  return draw({
    width: WIDTH,
    height: HEIGHT,
    title: { text: title, fontSize: 12 },
    layer: [
      {
        data: { values: points.filter(({ low }) => low !== undefined) },
        mark: { type: "rule", opacity: 0.5 },
        encoding: {
          x: windowAxis,
          y: { ...y, field: "low" },
          y2: { field: "high" },
          color: { field: "series", type: "nominal" },
        },
      },
      {
        data: { values: points },
        mark: { type: "line", point: true },
        encoding: { x: windowAxis, y, color: { field: "series", type: "nominal", sort: null } },
      },
      {
        data: { values: thresholds },
        mark: { type: "line", strokeDash: [4, 3], color: "#c92a2a" },
        encoding: { x: windowAxis, y },
      },
    ],
  });
};

const BARS = 30;
const MOST_CATEGORIES = 12;

/** The distribution of a column in the baseline and in a window. */
export const distributionChart = (
  layout: ColumnLayout,
  normal: ColumnProfile,
  window: ColumnProfile,
  title: string,
): Promise<string> => {
  const sides = [
    ["baseline", normal],
    ["window", window],
  ] as const;
  const color = {
    field: "side",
    type: "nominal",
    sort: null,
    scale: { domain: ["baseline", "window"], range: [BEFORE, AFTER] },
  } as const;
  const common = { width: WIDTH, height: HEIGHT, title: { text: title, fontSize: 12 } };
  if (isNumeric(layout.meaning) && layout.clipHigh > layout.clipLow) {
    const values = sides.flatMap(([side, profile]) =>
      equalWidthShares(layout, profile).map((share, bar) => ({
        side,
        share,
        x: layout.clipLow + ((bar + 0.5) * (layout.clipHigh - layout.clipLow)) / BARS,
      })),
    );
    return draw({
      ...common,
      data: { values },
      mark: { type: "area", interpolate: "step", opacity: 0.45, line: true },
      encoding: {
        x: { field: "x", type: "quantitative", title: null, scale: { zero: false } },
        y: { field: "share", type: "quantitative", title: "share of rows", stack: null },
        color,
      },
    });
  }
  const names = isNumeric(layout.meaning)
    ? normal.bins.map((_, bin) =>
        bin === 0 ? "below" : bin === layout.edges.length ? "above" : String(layout.edges[bin - 1]),
      )
    : [...layout.categories, "(other)"];
  const values = sides.flatMap(([side, profile]) =>
    names
      .map((name, bin) => ({ side, name, share: Number(profile.bins[bin] ?? 0n) / Math.max(Number(profile.count), 1) }))
      .filter((_, bin) => bin < MOST_CATEGORIES || bin === names.length - 1),
  );
  return draw({
    ...common,
    data: { values },
    mark: "bar",
    encoding: {
      y: { field: "name", type: "nominal", sort: null, title: null },
      yOffset: { field: "side" },
      x: { field: "share", type: "quantitative", title: "share of rows" },
      color,
    },
  });
};

/** Shares on bars of equal width: the rows of each bin are spread evenly over it. */
const equalWidthShares = ({ edges, clipLow, clipHigh }: ColumnLayout, profile: ColumnProfile): number[] => {
  const shares = new Array<number>(BARS).fill(0);
  const width = (clipHigh - clipLow) / BARS;
  const add = (bar: number, share: number) => {
    const index = Math.min(Math.max(bar, 0), BARS - 1);
    shares[index] = (shares[index] as number) + share;
  };
  profile.bins.forEach((rows, bin) => {
    const share = Number(rows) / Math.max(Number(profile.count), 1);
    const low = Math.max(bin === 0 ? clipLow : (edges[bin - 1] as number), clipLow);
    const high = Math.min(bin < edges.length ? (edges[bin] as number) : clipHigh, clipHigh);
    const first = Math.floor((low - clipLow) / width);
    if (!(high > low)) {
      add(first, share);
      return;
    }
    for (let bar = first; bar < BARS && clipLow + bar * width < high; bar++) {
      const from = Math.max(low, clipLow + bar * width);
      const to = Math.min(high, clipLow + (bar + 1) * width);
      if (to > from) add(bar, (share * (to - from)) / (high - low));
    }
  });
  return shares;
};

/** Mean score against share of positives. @returns undefined without labels. */
export const calibrationChart = async (
  performance: Performance | undefined,
  title: string,
): Promise<string | undefined> => {
  const points = performance === undefined ? [] : calibrationCurve(performance);
  if (points.length === 0) return undefined;
  return reliabilityDiagram(title, points);
};
