import { toJson } from "@bufbuild/protobuf";
import type { Slice } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Run, Trial } from "@millrace/contracts/millrace/training/v1/training_service";
import { TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { figureOf, type Html, html, page } from "@millrace/report";
import { stateName } from "../runs/state-name.ts";
import { calibrationChart, importanceChart, lossChart, trialChart } from "./run-charts.ts";
import { durationText, facts, figure, lessIsBetter, runStyle } from "./run-texts.ts";

const mostSlices = 40;

/** The page of one run: how it ended, what it measured, its curves, its slices, the worst first, and its spec. */
export const runPage = async (run: Run): Promise<string> => {
  const { spec, evaluation, error } = run;
  const name = spec?.name ?? "";
  const charts = await Promise.all([lossChart(run), trialChart(run), calibrationChart(run), importanceChart(run)]);
  const drawn = charts.flatMap((svg) => (svg === undefined ? [] : [figureOf({ html: svg })]));
  return page(
    `${name}: training run`,
    html`<h1>${name}: ${stateName(run.state)}</h1>
${error === undefined ? undefined : html`<div class="error"><b>${error.reason}</b>${error.field === "" ? "" : ` at ${error.field}`}: ${error.message}</div>`}
${facts([
  ["run", run.id],
  ["package", run.packageReference],
  ["tags", run.packageTags.join(", ")],
  ["took", durationText(run)],
  [
    "rows",
    run.trainingRows === 0n
      ? ""
      : `${run.trainingRows} training, ${run.validationRows} validation, ${run.testRows} test`,
  ],
  ["backend", run.backend],
  ["dataset snapshot", run.datasetSnapshotId],
  ["asked by", run.requestedBy],
  ["code revision", run.codeRevision],
  ["taken up again", run.resumes === 0 ? "" : `${run.resumes} times, after its process was gone`],
])}
${evaluation === undefined ? html`<p>It was not evaluated.</p>` : metricsOf(run)}
${drawn.length === 0 ? undefined : html`<h2>Curves</h2><div class="charts">${drawn}</div>`}
${run.trials.length === 0 ? undefined : trialsOf(run.trials)}
${evaluation === undefined || evaluation.slices.length === 0 ? undefined : slicesOf(evaluation.slices)}
${run.log.length === 0 ? undefined : html`<h2>Last lines of the program</h2><pre>${run.log.join("\n")}</pre>`}
<h2>Spec</h2>
<pre>${spec === undefined ? "" : JSON.stringify(toJson(TrainingSpecSchema, spec), undefined, 2)}</pre>`,
    runStyle,
  );
};

const metricsOf = ({ evaluation, reportedMetrics }: Run): Html => html`<h2>Test split</h2>
<div class="scroll"><table><tr><th>metric</th><th>value</th><th>95 % interval</th></tr>${(
  evaluation?.metrics ?? []
).map(
  ({ name, value, lower, upper }) =>
    html`<tr><td>${name}</td><td>${figure(value)}</td><td>${lower === undefined || upper === undefined ? "" : `${figure(lower)} to ${figure(upper)}`}</td></tr>`,
)}${Object.entries(reportedMetrics).map(
  ([name, value]) =>
    html`<tr><td>${name}</td><td>${figure(value)}</td><td>says the program; no gate reads it</td></tr>`,
)}</table></div>
${
  (evaluation?.gates ?? []).length === 0
    ? html`<p>The spec has no gates.</p>`
    : html`<h2>Gates</h2><ul>${(evaluation?.gates ?? []).map(
        ({ rule, value, passed }) =>
          html`<li>${passed ? html`passed` : html`<span class="bad">not passed</span>`}: ${rule}; it is ${figure(value)}</li>`,
      )}</ul>`
}`;

const trialsOf = (trials: readonly Trial[]): Html => {
  const parameters = [...new Set(trials.flatMap((trial) => Object.keys(trial.parameters)))];
  return html`<h2>Trials</h2><div class="scroll"><table><tr><th>trial</th>${parameters.map((name) => html`<th>${name}</th>`)}<th>validation loss</th><th>seconds</th><th></th></tr>${trials.map(
    (trial) =>
      html`<tr><td>${trial.number}</td>${parameters.map((name) => html`<td>${figure(trial.parameters[name] ?? Number.NaN)}</td>`)}<td>${trial.validationLoss === undefined ? "–" : figure(trial.validationLoss)}</td><td>${figure(trial.seconds)}</td><td class="text">${trial.chosen ? "chosen" : trial.error}</td></tr>`,
  )}</table></div>`;
};

/** Slices by the first metric that all of them have, the worst first. */
const slicesOf = (slices: readonly Slice[]): Html => {
  const names = [...new Set(slices.flatMap(({ metrics }) => metrics.map(({ name }) => name)))];
  const measuredIn = (slice: Slice, metric: string): number | undefined =>
    slice.metrics.find(({ name }) => name === metric)?.value;
  const judge = names.find((name) => slices.every((slice) => measuredIn(slice, name) !== undefined)) ?? names[0] ?? "";
  const sign = lessIsBetter(judge) ? 1 : -1;
  const worst = sign * Number.NEGATIVE_INFINITY;
  const sorted = [...slices].sort((a, b) => sign * ((measuredIn(b, judge) ?? worst) - (measuredIn(a, judge) ?? worst)));
  return html`<h2>Slices, the worst ${judge} first</h2><div class="scroll"><table><tr><th>slice</th><th>rows</th>${names.map((name) => html`<th>${name}</th>`)}</tr>${sorted
    .slice(0, mostSlices)
    .map(
      (slice) =>
        html`<tr><td>${slice.column} ${slice.value}</td><td>${String(slice.rows)}</td>${names.map((name) => {
          const value = measuredIn(slice, name);
          return html`<td>${value === undefined ? "–" : figure(value)}</td>`;
        })}</tr>`,
    )}</table></div>${sorted.length > mostSlices ? html`<p class="note">${sorted.length - mostSlices} more are better.</p>` : undefined}`;
};
