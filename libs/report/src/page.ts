import { type Html, html } from "./html.ts";

const common = `body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1c1c1c}
h1{margin:.2em 0}h2{margin:1.4em 0 .4em;border-bottom:1px solid #ddd}table{border-collapse:collapse;font-size:13px}
th,td{padding:.25em .6em;text-align:right;border-bottom:1px solid #eee;white-space:nowrap}th:first-child,td:first-child{text-align:left}
.scroll{overflow-x:auto}.bad{color:#b02a1a;font-weight:600}.note{color:#555;font-size:13px}code{word-break:break-all}
.charts{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;max-width:100%}figure svg{max-width:100%;height:auto}
pre{overflow-x:auto;background:#f6f6f6;padding:.6em .8em;font-size:12px}`;

/**
 * A whole page: one file that loads nothing and runs no script, readable from the width of a phone up.
 * @param style CSS beside that of every page; it holds no text of others.
 */
export const page = (title: string, body: Html, style = ""): string =>
  html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${{ html: `${common}\n${style}` }}</style></head><body>
${body}
</body></html>`.html;

/** A chart in its place. @param svg of `draw`. */
export const figureOf = (svg: Html): Html => html`<figure>${svg}</figure>`;
