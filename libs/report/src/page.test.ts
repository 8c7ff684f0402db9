import { expect, test } from "vitest";
import { draw } from "./draw.ts";
import { html } from "./html.ts";
import { figureOf, page } from "./page.ts";
import { reliabilityDiagram } from "./reliability-diagram.ts";

test("whatever a text holds is shown as it is, in the title and in the body, within attributes too", () => {
  const text = `"><script>alert('x')</script>&amp;`;
  const made = page(text, html`<p title="${text}">${text}</p>${[html`<i>${1.5}</i>`, html`${undefined}`]}`);
  expect(made).not.toContain("<script>");
  expect(made.match(/&quot;&gt;&lt;script&gt;alert\(&#39;x&#39;\)&lt;\/script&gt;&amp;amp;/g)).toHaveLength(3);
  expect(made).toContain("<i>1.5</i>");
});

test("a chart is SVG within the page, whatever its data are called", async () => {
  const svg = await draw({
    title: "a < b",
    data: { values: [{ name: "<script>", value: 1 }] },
    mark: "bar",
    encoding: { x: { field: "name", type: "nominal" }, y: { field: "value", type: "quantitative" } },
  });
  const made = page("chart", figureOf({ html: svg }));
  expect(made).toMatch(/<figure><svg [\s\S]*a &lt; b[\s\S]*<\/svg><\/figure>/);
  expect(made).not.toMatch(/<script|<image|<link/);
});

test("a reliability diagram has a point a bin", async () => {
  const svg = await reliabilityDiagram(
    "calibration",
    [0.1, 0.5, 0.9].map((score) => ({ score, positiveShare: score })),
  );
  expect(svg.match(/aria-roledescription="point"|mark-symbol role-mark[^>]*>/g)?.length).toBeGreaterThan(0);
});
