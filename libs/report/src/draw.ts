import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";

const config = {
  font: "system-ui, sans-serif",
  axis: { labelFontSize: 11, titleFontSize: 11, gridColor: "#e8e8e8" },
  legend: { orient: "top", title: null, labelFontSize: 11 },
  view: { stroke: null },
} as const;

/** Draws a chart as an SVG element: no script, no font and no image is loaded by it. */
export const draw = async (spec: TopLevelSpec): Promise<string> => {
  const { spec: compiled } = compile({ ...spec, config });
  const view = new View(parse(compiled), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
};
