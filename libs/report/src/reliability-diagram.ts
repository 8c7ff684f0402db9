import { draw } from "./draw.ts";

/** What came of rows that were given about one score. */
export interface ReliabilityPoint {
  readonly score: number;
  readonly positiveShare: number;
}

/** Mean score against share of positives, with the line on which a calibrated model lies. @returns SVG. */
export const reliabilityDiagram = (title: string, points: readonly ReliabilityPoint[]): Promise<string> => {
  const scale = { domain: [0, 1] };
  return draw({
    width: 340,
    height: 180,
    title: { text: title, fontSize: 12 },
    layer: [
      {
        data: { values: [0, 1].map((at) => ({ score: at, positiveShare: at })) },
        mark: { type: "line", strokeDash: [4, 3], color: "#8a8a8a" },
        encoding: {
          x: { field: "score", type: "quantitative" },
          y: { field: "positiveShare", type: "quantitative" },
        },
      },
      {
        data: { values: points.map(({ score, positiveShare }) => ({ score, positiveShare })) },
        mark: { type: "line", point: true, color: "#d9480f" },
        encoding: {
          x: { field: "score", type: "quantitative", title: "mean score", scale },
          y: { field: "positiveShare", type: "quantitative", title: "share of positives", scale },
        },
      },
    ],
  });
};
