import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Run } from "@millrace/contracts/millrace/training/v1/training_service";
import { type Html, html } from "@millrace/report";

/** A figure with as many digits as a reader compares. */
export const figure = (value: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "–");

/** How long a run took, or takes so far: `2 min 5 s`. */
export const durationText = ({ startedAt, endedAt }: Run, nowMs = Date.now()): string => {
  if (startedAt === undefined) return "not begun";
  const seconds = Math.round(((endedAt === undefined ? nowMs : timestampMs(endedAt)) - timestampMs(startedAt)) / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes === 0 ? `${seconds} s` : `${minutes} min ${seconds % 60} s`;
};

/** Metrics of which less is better. */
export const lessIsBetter = (metric: string): boolean =>
  /^(LOG_LOSS|BRIER|CALIBRATION_ERROR|RMSE|MAE|PINBALL)/.test(metric);

/** A table of two columns, without the rows whose text is empty. */
export const facts = (rows: readonly (readonly [string, string])[]): Html =>
  html`<div class="scroll"><table>${rows
    .filter(([, text]) => text !== "")
    .map(([name, text]) => html`<tr><td>${name}</td><td class="text">${text}</td></tr>`)}</table></div>`;

/** CSS of both pages, beside that of every page. */
export const runStyle = `td.text{text-align:left;white-space:normal;word-break:break-word}.best{font-weight:600}
.error{border-left:4px solid #c92a2a;padding:.3em .8em;margin:.6em 0;background:#fdf3f1}`;
