import { type Metric, type ModelPackage, Task } from "@millrace/contracts/millrace/model/v1/model_package";
import { parametersText } from "../search/parameters-text.ts";

const digits = (value: number): string => (Number.isInteger(value) ? String(value) : value.toPrecision(4));

/** The model card, `README.md` of the package: what a person wants to know of a model before relying on it. */
export const writeCard = (
  manifest: ModelPackage,
  importance: ReadonlyMap<string, number>,
  rejectedBecause: string,
): string => {
  const { lineage, evaluation } = manifest;
  const kind = manifest.task === Task.BINARY ? "a probability" : "an estimate";
  const lines = [
    `# ${manifest.name}`,
    "",
    manifest.description || "No description was given.",
    "",
    `The model takes raw features and answers ${kind}. Preparing the features is part of the graph.`,
    ...(rejectedBecause === "" ? [] : ["", `**Rejected:** ${rejectedBecause}`]),
    "",
    "## How good it is",
    "",
    `Measured on the ${lineage?.testRows ?? 0} rows of the test split, through this package.`,
    "",
    "| metric | value | 95 % interval |",
    "|---|---|---|",
    ...(evaluation?.metrics ?? []).map(
      (metric) => `| ${metric.name} | ${digits(metric.value)} | ${interval(metric)} |`,
    ),
    "",
    ...gateLines(manifest),
    "## What it reads",
    "",
    "Importance is the rise of the loss on the validation split when the input's values are dealt out to other rows.",
    "",
    "| input | datatype | importance |",
    "|---|---|---|",
    ...(manifest.signature?.inputs ?? []).map(
      ({ name, datatype }) => `| ${name} | ${datatype} | ${digits(importance.get(name) ?? 0)} |`,
    ),
    "",
    "## Where it comes from",
    "",
    `- dataset: ${lineage?.datasetSnapshotId ?? ""}, ${lineage?.trainingRows ?? 0} rows to train, ${lineage?.validationRows ?? 0} to validate`,
    `- trainer: ${lineage?.trainer ?? ""}, seed ${lineage?.seed ?? 0}`,
    `- spec: ${lineage?.specHash ?? ""}`,
    ...(Object.keys(lineage?.parameters ?? {}).length === 0
      ? []
      : [`- chosen by a search, on the validation split: ${parametersText(lineage?.parameters ?? {})}`]),
    ...(lineage?.codeRevision ? [`- code: ${lineage.codeRevision}`] : []),
    ...(lineage?.definitionsHash ? [`- feature definitions: ${lineage.definitionsHash}`] : []),
    "",
  ];
  return lines.join("\n");
};

const interval = ({ lower, upper }: Metric): string =>
  lower === undefined || upper === undefined ? "" : `${digits(lower)} to ${digits(upper)}`;

const gateLines = ({ evaluation }: ModelPackage): string[] => {
  const gates = evaluation?.gates ?? [];
  return gates.length === 0
    ? []
    : [
        ...gates.map(({ rule, value, passed }) => `- ${rule}: ${digits(value)}, ${passed ? "passed" : "not passed"}`),
        "",
      ];
};
