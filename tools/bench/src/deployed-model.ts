import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ModelPackageSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { openModelStore } from "@millrace/model-package";

/** A folder with a model store and a declaration of what is served from it. */
export interface Deployed {
  /** Settings of the inference service that serves it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Declares another package under another version, at once, as a ConfigMap's swap does. */
  declare(version: number, reference: string): void;
}

/**
 * Pushes a model as a package and declares it as version 1.
 * @param more further lines of the deployment, as YAML on one line. @returns also the references of the packages, in order.
 */
export const deployModels = async (
  folder: string,
  model: string,
  graphs: readonly Uint8Array[],
  more = "",
): Promise<Deployed & { readonly references: readonly string[] }> => {
  const url = `oci:${join(folder, "store")}`;
  const store = await openModelStore(url);
  const references: string[] = [];
  for (const graph of graphs) {
    const content = { manifest: create(ModelPackageSchema, { name: model }), model: graph };
    references.push(`${model}@${(await store.push(model, content)).digest}`);
  }
  await store.close();
  const path = join(folder, "deployments.yaml");
  const declare = (version: number, reference: string): void => {
    const deployment = `{model: ${model}, versions: [{version: ${version}, package: "${reference}"}]${more}}`;
    writeFileSync(`${path}.new`, `deployments:\n  - ${deployment}\n`);
    renameSync(`${path}.new`, path);
  };
  declare(1, references[0] ?? "");
  return {
    references,
    declare,
    environment: { MILLRACE_DEPLOYMENTS_FILE: path, MILLRACE_MODEL_STORE_URL: url },
  };
};
