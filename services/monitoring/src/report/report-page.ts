import type { AlertEvent } from "@millrace/contracts/millrace/event/v1/event";
import type { Measure, Window } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { figureOf, type Html, html, page } from "@millrace/report";
import { figure, measureText } from "../alerts/alert-text.ts";
import type { WatchRules } from "../monitors/watch-rules.ts";
import type { AssembledWindow } from "../windows/assemble-window.ts";
import { calibrationChart, distributionChart, measureChart } from "./charts.ts";

/** Columns whose distributions are drawn: the model's outputs and the features that moved most. */
const MOST_DRAWN = 8;

/**
 * One self-contained page about a model: what happened, over which windows, how the quality was, which distributions
 * moved. Charts are inline SVG; nothing is loaded and no script runs. Readable from the width of a phone up.
 */
export const reportPage = async (
  model: string,
  rules: WatchRules,
  assembled: readonly AssembledWindow[],
): Promise<string> => {
  const whole = assembled.filter(({ counted }) => counted.slice === "");
  const slices = assembled.filter(({ counted }) => counted.slice !== "");
  const windows = whole.map(({ window }) => window);
  const newest = whole.at(-1);
  const shown = worstOf(whole) ?? newest;
  const charts = await overTime(windows, newest);
  const distributions = shown === undefined ? [] : await distributionsOf(shown);
  const calibration = await calibrationChart(newest?.counted.profile.performance, "Calibration, newest window");
  return page(
    `${model}: monitoring report`,
    html`<h1>${model}</h1>
<p>Package <code>${newest?.counted.packageDigest ?? "unknown"}</code>, monitor <b>${rules.monitor.name}</b>, windows of ${rules.length} in ${rules.calendar.timeZone}. ${newest?.counted.watched.message ?? ""}</p>
<h2>What happened</h2>
${alertsOf(windows)}
<h2>Windows</h2>
${windowTable(windows)}
<p class="note">Drift is measured on streamed profiles against the package's baseline (clipped to its 0.1–99.9 % range), not by the exact tests. Estimated figures come from calibrated scores alone: they cannot see that the relation of features and label changed. Coverage is the share of rows whose label has come.</p>
<h2>Over time</h2><div class="charts">${[...charts, ...(calibration === undefined ? [] : [{ html: calibration }])].map(figureOf)}</div>
<h2>Distributions: baseline and the window from ${shown === undefined ? "" : dateOf(shown.window)}</h2>
<div class="charts">${distributions.map(figureOf)}</div>
<h2>Columns of that window</h2>
${shown === undefined ? html`<p>No window was counted.</p>` : columnTable(shown.window)}
${slices.length === 0 ? undefined : html`<h2>Slices</h2>${sliceTable(slices)}`}`,
    style,
  );
};

/** Beside that of every page. */
const style = `.alert{border-left:4px solid #c92a2a;padding:.3em .8em;margin:.6em 0;background:#fdf3f1}.alert.DRIFT{border-color:#e8890c;background:#fdf8ef}`;

const dateOf = ({ from }: Window): string =>
  new Date(Number(from?.seconds ?? 0n) * 1000).toISOString().slice(0, 16).replace("T", " ").replace(" 00:00", "");

const alertsOf = (windows: readonly Window[]): Html => {
  const seen = new Map<string, { alert: AlertEvent; windows: string[] }>();
  for (const window of windows)
    for (const alert of window.alerts) {
      const known = seen.get(alert.id) ?? { alert, windows: [] };
      known.windows.push(dateOf(window));
      seen.set(alert.id, known);
    }
  if (seen.size === 0) return html`<p>No alert in these windows.</p>`;
  return html`${[...seen.values()].map(
    ({
      alert,
      windows: during,
    }) => html`<div class="alert ${alert.kind}"><b>${alert.kind}</b> in ${during.join(", ")}. ${alert.summary}
<br>${alert.action === "REPORT" ? "No run was started" : `Run ${alert.action} was started`}: ${alert.actionReason}
${
  alert.causes.length < 2
    ? undefined
    : html`<ol>${alert.causes.map(
        (cause) =>
          html`<li>${cause.column === "" ? "model" : cause.column}: ${measureText(cause.measure)} ${figure(cause.value)}, threshold ${figure(cause.threshold)}</li>`,
      )}</ol>`
}</div>`,
  )}`;
};

const windowTable = (windows: readonly Window[]): Html => {
  const cell = (window: Window, name: string): Html => measureCell(window.measures.find((each) => each.name === name));
  return html`<div class="scroll"><table><tr><th>from</th><th>rows</th><th>labelled</th><th>ROC AUC</th><th>estimated</th><th>log loss</th><th>estimated</th><th>prediction drift</th><th>alerts</th></tr>${windows.map(
    (window) =>
      html`<tr><td>${dateOf(window)}${window.judged ? undefined : " (open)"}</td><td>${String(window.rows)}</td><td>${cell(window, "LABEL_COVERAGE")}</td><td>${cell(window, "ROC_AUC")}</td><td>${cell(window, "ESTIMATED_ROC_AUC")}</td><td>${cell(window, "LOG_LOSS")}</td><td>${cell(window, "ESTIMATED_LOG_LOSS")}</td><td>${predictionDrift(window)}</td><td>${window.alerts.map(({ kind }) => kind).join(", ")}</td></tr>`,
  )}</table></div>`;
};

const predictionDrift = (window: Window): Html => {
  const output = window.columns.find((column) => column.output);
  const measure = output?.measures.find(({ threshold }) => threshold !== undefined) ?? output?.measures[0];
  return html`${measureCell(measure)} ${output?.direction.toLowerCase() ?? ""}`;
};

const measureCell = (measure: Measure | undefined): Html => {
  if (measure === undefined) return html`–`;
  if (measure.noValue !== "") return html`<span class="note">${measure.noValue}</span>`;
  const error = measure.standardError === undefined ? "" : ` ± ${figure(measure.standardError)}`;
  const text = `${figure(measure.value)}${error}`;
  return measure.violated ? html`<span class="bad">${text}</span>` : html`${text}`;
};

const columnTable = (window: Window): Html => {
  const names = [...new Set(window.columns.flatMap(({ measures }) => measures.map(({ name }) => name)))];
  return html`<div class="scroll"><table><tr><th>column</th>${names.map((name) => html`<th>${name}</th>`)}<th>mean</th><th>baseline</th></tr>${window.columns.map(
    (column) =>
      html`<tr><td>${column.column}${column.output ? " (output)" : ""}</td>${names.map((name) => {
        const measure = column.measures.find((each) => each.name === name);
        const threshold = measure?.threshold === undefined ? "" : ` (${figure(measure.threshold)})`;
        return html`<td>${measureCell(measure)}${threshold}</td>`;
      })}<td>${figure(column.mean)}</td><td>${figure(column.baselineMean)}</td></tr>`,
  )}</table></div><p class="note">In brackets: the threshold, where the measure is judged.</p>`;
};

/** Slices of the newest window, the worst log loss first. */
const sliceTable = (slices: readonly AssembledWindow[]): Html => {
  const newest = slices.at(-1)?.counted.fromUs;
  const lossOf = ({ window }: AssembledWindow) =>
    window.measures.find(({ name, noValue }) => name === "LOG_LOSS" && noValue === "")?.value ?? 0;
  const rows = slices.filter(({ counted }) => counted.fromUs === newest).sort((a, b) => lossOf(b) - lossOf(a));
  return html`<div class="scroll"><table><tr><th>slice</th><th>rows</th><th>ROC AUC</th><th>log loss</th></tr>${rows.map(
    ({ window }) =>
      html`<tr><td>${window.slice}</td><td>${String(window.rows)}</td><td>${measureCell(window.measures.find(({ name }) => name === "ROC_AUC"))}</td><td>${measureCell(window.measures.find(({ name }) => name === "LOG_LOSS"))}</td></tr>`,
  )}</table></div>`;
};

const driftOf = (column: Window["columns"][number]): number =>
  Math.max(
    0,
    ...column.measures
      .filter(({ name }) => name === "WASSERSTEIN" || name === "JENSEN_SHANNON")
      .map(({ value }) => value),
  );

/** The window whose output drifted most. */
const worstOf = (windows: readonly AssembledWindow[]): AssembledWindow | undefined => {
  const outputDrift = ({ window }: AssembledWindow) =>
    Math.max(0, ...window.columns.filter(({ output }) => output).map(driftOf));
  return windows.reduce<AssembledWindow | undefined>(
    (worst, each) => (worst === undefined || outputDrift(each) > outputDrift(worst) ? each : worst),
    undefined,
  );
};

const overTime = async (windows: readonly Window[], newest: AssembledWindow | undefined): Promise<Html[]> => {
  const outputs = newest?.counted.watched.layouts.filter(({ output }) => output).map(({ name }) => name) ?? [];
  const model = (label: string, measure: string) => ({ label, column: "", measure });
  const charts = await Promise.all([
    ...outputs.map((column) =>
      measureChart(windows, `Drift of ${column} (Wasserstein, standard deviations)`, [
        { label: column, column, measure: "WASSERSTEIN" },
      ]),
    ),
    measureChart(windows, "Log loss", [model("realized", "LOG_LOSS"), model("estimated", "ESTIMATED_LOG_LOSS")], false),
    measureChart(windows, "ROC AUC", [model("realized", "ROC_AUC"), model("estimated", "ESTIMATED_ROC_AUC")], false),
    measureChart(windows, "Label coverage", [model("coverage", "LABEL_COVERAGE")]),
  ]);
  return charts.flatMap((svg) => (svg === undefined ? [] : [{ html: svg }]));
};

const distributionsOf = async ({ window, counted }: AssembledWindow): Promise<Html[]> => {
  const { layouts, normal } = counted.watched;
  const columns = [...window.columns]
    .sort((a, b) => Number(b.output) - Number(a.output) || driftOf(b) - driftOf(a))
    .slice(0, MOST_DRAWN);
  const charts = await Promise.all(
    columns.map(async ({ column }) => {
      const index = layouts.findIndex(({ name }) => name === column);
      const layout = layouts[index];
      const before = normal?.columns[index];
      const after = counted.profile.columns[index];
      if (layout === undefined || before === undefined || after === undefined) return undefined;
      return distributionChart(layout, before, after, column);
    }),
  );
  return charts.flatMap((svg) => (svg === undefined ? [] : [{ html: svg }]));
};
