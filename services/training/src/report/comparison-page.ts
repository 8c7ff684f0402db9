import { toJson } from "@bufbuild/protobuf";
import type { Run } from "@millrace/contracts/millrace/training/v1/training_service";
import { TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { figureOf, type Html, html, page } from "@millrace/report";
import { stateName } from "../runs/state-name.ts";
import { flattened } from "./flattened.ts";
import { validationLossChart } from "./run-charts.ts";
import { durationText, figure, lessIsBetter, runStyle } from "./run-texts.ts";

/** A run and what it is called on the page: A, B, … */
interface Named {
  readonly name: string;
  readonly run: Run;
}

/** Runs beside each other: what they measured, the best of each metric marked, and where their specs differ. */
export const comparisonPage = async (runs: readonly [Run, ...Run[]]): Promise<string> => {
  const named = runs.map((run, index): Named => ({ name: String.fromCharCode(65 + index), run }));
  const losses = await validationLossChart(named);
  const differences = differingPaths(named);
  return page(
    "Training runs compared",
    html`<h1>Training runs compared</h1>
<div class="scroll"><table><tr><th></th>${named.map(({ name }) => html`<th>${name}</th>`)}</tr>
${rowOf("spec", named, ({ spec }) => spec?.name ?? "")}
${rowOf("run", named, ({ id }) => id)}
${rowOf("ended", named, ({ state }) => stateName(state))}
${rowOf("took", named, (run) => durationText(run))}
${rowOf("training rows", named, ({ trainingRows }) => String(trainingRows))}
${rowOf("dataset snapshot", named, ({ datasetSnapshotId }) => datasetSnapshotId.slice(0, 19))}
${rowOf("package", named, ({ packageDigest }) => packageDigest.slice(0, 19))}
${rowOf("backend", named, ({ backend }) => backend.split(":", 1)[0] ?? "")}
</table></div>
${sameTestRows(runs) ? undefined : html`<p class="bad">The runs were not tested on the same dataset: their figures do not compare.</p>`}
<h2>Test split</h2>
${metricTable(named)}
${losses === undefined ? undefined : html`<h2>Curves</h2><div class="charts">${[figureOf({ html: losses })]}</div>`}
<h2>Where the specs differ</h2>
${
  differences.length === 0
    ? html`<p>Nowhere.</p>`
    : html`<div class="scroll"><table><tr><th></th>${named.map(({ name }) => html`<th>${name}</th>`)}</tr>${differences.map(
        ({ path, values }) =>
          html`<tr><td>${path}</td>${values.map((value) => html`<td class="text">${value}</td>`)}</tr>`,
      )}</table></div>`
}`,
    runStyle,
  );
};

const rowOf = (label: string, runs: readonly Named[], textOf: (run: Run) => string): Html =>
  html`<tr><td>${label}</td>${runs.map(({ run }) => html`<td>${textOf(run)}</td>`)}</tr>`;

/** Equal snapshots and equal counts of rows: the same test split. */
const sameTestRows = ([first, ...others]: readonly [Run, ...Run[]]): boolean =>
  others.every((run) => run.datasetSnapshotId === first.datasetSnapshotId && run.testRows === first.testRows);

const metricTable = (runs: readonly Named[]): Html => {
  const measuredIn = (run: Run, metric: string) => run.evaluation?.metrics.find(({ name }) => name === metric);
  const names = [...new Set(runs.flatMap(({ run }) => run.evaluation?.metrics.map(({ name }) => name) ?? []))];
  return html`<div class="scroll"><table><tr><th>metric</th>${runs.map(({ name }) => html`<th>${name}</th>`)}</tr>${names.map(
    (metric) => {
      const values = runs.flatMap(({ run }) => measuredIn(run, metric)?.value ?? []);
      const best = lessIsBetter(metric) ? Math.min(...values) : Math.max(...values);
      return html`<tr><td>${metric}</td>${runs.map(({ run }) => {
        const found = measuredIn(run, metric);
        if (found === undefined) return html`<td>–</td>`;
        const { value, lower, upper } = found;
        const interval = lower === undefined || upper === undefined ? "" : ` (${figure(lower)} to ${figure(upper)})`;
        return html`<td>${value === best ? html`<span class="best">${figure(value)}</span>` : figure(value)}${interval}</td>`;
      })}</tr>`;
    },
  )}</table></div><p class="note">The best of each metric is bold, which says nothing of chance: two intervals that overlap may be the same model.</p>`;
};

/** The paths at which the runs' specs have different values. */
const differingPaths = (runs: readonly Named[]): { readonly path: string; readonly values: readonly string[] }[] => {
  const flat = runs.map(({ run }) => flattened(run.spec === undefined ? {} : toJson(TrainingSpecSchema, run.spec)));
  const paths = [...new Set(flat.flatMap((one) => [...one.keys()]))].sort();
  return paths
    .map((path) => ({ path, values: flat.map((one) => one.get(path) ?? "–") }))
    .filter(({ values }) => new Set(values).size > 1);
};
