import type { FeatureInput, ModelPackage } from "@millrace/contracts/millrace/model/v1/model_package";
import type { Command } from "commander";
import { printTable, timeText } from "../output.ts";
import { packageReference } from "../package-location.ts";
import { type StoreOptions, storeCommand, withStore } from "../package-store.ts";
import { UsageError } from "../usage-error.ts";

interface UsingOptions extends StoreOptions {
  readonly dataset?: string;
  readonly featureService?: string;
  readonly featureView?: string;
  readonly source?: string;
  readonly json: boolean;
}

export const packageLineageCommands = (): Command[] => [
  storeCommand(
    "lineage <reference>",
    "says what a package came from: spec, dataset, definitions, features, sources, owners",
  )
    .option("--json", "print JSON", false)
    .action(lineage),
  storeCommand("using", "lists the packages of a store that came from a dataset, a feature service, a view or a source")
    .option("--dataset <snapshot>", "the snapshot id of a training set; its beginning is enough")
    .option("--feature-service <name>", "name, or name@version")
    .option("--feature-view <name>", "a view of which the package reads a feature")
    .option("--source <name>", "a source of which the package reads a feature")
    .option("--json", "print JSON: package, tags, what it reads of it", false)
    .action(using),
];

const lineage = async (text: string, options: StoreOptions & { readonly json: boolean }): Promise<void> => {
  const { storeUrl, reference } = packageReference(text, options.store);
  await withStore(storeUrl, async (store) => {
    const { reference: name, manifest } = await store.pull(reference);
    const from = originOf(name, manifest);
    if (options.json) return console.log(JSON.stringify(from, null, 2));
    const { inputs, ...facts } = from;
    printTable([
      ["from", ""],
      ...Object.entries(facts).flatMap(([key, value]) => (value === "" ? [] : [[key, value]])),
    ]);
    if (inputs.length === 0) return;
    console.log();
    printTable([
      ["feature", "view", "source", "owner"],
      ...inputs.map(({ feature, view, source, owner }) => [feature, view, source, owner]),
    ]);
  });
};

const originOf = (name: string, { lineage: from, features }: ModelPackage) => ({
  package: name,
  spec: from === undefined ? "" : `${from.specName} ${from.specHash}`.trim(),
  trainer: from?.trainer ?? "",
  seed: from === undefined ? "" : String(from.seed),
  parameters: Object.entries(from?.parameters ?? {})
    .map(([key, value]) => `${key} ${value}`)
    .join(", "),
  code: from?.codeRevision ?? "",
  dataset: from?.datasetSnapshotId ?? "",
  rows:
    from === undefined
      ? ""
      : `${from.trainingRows} to train, ${from.validationRows} to validate, ${from.testRows} to test`,
  "newest event": timeText(from?.newestEvent),
  definitions: `${from?.definitionsHash ?? ""} ${from?.definitionsRevision ?? ""}`.trim(),
  "feature service": features === undefined ? "" : `${features.featureService}@${features.featureServiceVersion}`,
  inputs: (features?.inputs ?? []).map(({ feature, featureView: view, source, owner }) => ({
    feature,
    view,
    source,
    owner,
  })),
});

const using = async (options: UsingOptions): Promise<void> => {
  const wanted = [options.dataset, options.featureService, options.featureView, options.source];
  if (wanted.every((each) => each === undefined)) {
    throw new UsageError("using expects --dataset, --feature-service, --feature-view or --source.");
  }
  if (options.store === undefined) throw new UsageError("using expects --store <url> or MILLRACE_MODEL_STORE_URL.");
  await withStore(options.store, async (store) => {
    const found: { package: string; tags: readonly string[]; reads: readonly string[] }[] = [];
    for await (const { repository, digest, tags, manifest } of store.packages()) {
      const reads = readOf(manifest, options);
      if (reads !== undefined) found.push({ package: `${repository}@${digest}`, tags, reads });
    }
    if (options.json) return console.log(JSON.stringify(found, null, 2));
    if (found.length === 0) return console.log("No package with a tag came from it.");
    printTable([
      ["package", "tags", "reads"],
      ...found.map(({ package: name, tags, reads }) => [name, tags.join(", "), reads.join(", ")]),
    ]);
  });
};

/** The features that a package reads of what is asked for; undefined where it did not come from it. */
const readOf = (manifest: ModelPackage, options: UsingOptions): string[] | undefined => {
  const { lineage: from, features } = manifest;
  const { dataset, featureService, featureView, source } = options;
  if (dataset !== undefined && !(dataset !== "" && from?.datasetSnapshotId.startsWith(dataset))) return undefined;
  if (featureService !== undefined) {
    const names = [features?.featureService, `${features?.featureService}@${features?.featureServiceVersion}`];
    if (features === undefined || !names.includes(featureService)) return undefined;
  }
  const isRead = (input: FeatureInput): boolean =>
    (featureView === undefined || input.featureView === featureView) &&
    (source === undefined || input.source === source);
  const reads = (features?.inputs ?? []).filter(isRead).map(({ feature }) => feature);
  return reads.length === 0 && (featureView !== undefined || source !== undefined) ? undefined : reads;
};
