export { draw } from "./draw.ts";
export { escapeHtml, type Html, html } from "./html.ts";
export { figureOf, page } from "./page.ts";
export { type ReliabilityPoint, reliabilityDiagram } from "./reliability-diagram.ts";
