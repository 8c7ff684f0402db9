import type { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { CompiledFeatureService } from "../compiled.ts";
import { sha256 } from "../digest.ts";
import { contentTag } from "./data-files.ts";
import type { DataRelation } from "./data-relation.ts";

/**
 * Names the inputs of a training set: the definitions it reads, the files of their sources (names, sizes, content tags),
 * the entity rows, and as of what it was built. The same inputs give the same id, wherever they lie.
 */
export const snapshotId = async (
  service: CompiledFeatureService,
  asOf: AsOf,
  entityRowsTag: string,
  relations: ReadonlyMap<string, DataRelation>,
): Promise<string> => {
  const sources: unknown[] = [];
  for (const [source, { files }] of [...relations].sort(([a], [b]) => (a < b ? -1 : 1))) {
    for (const file of files) sources.push([source, file.name, file.sizeBytes, await contentTag(file)]);
  }
  return sha256(JSON.stringify([service.version, service.schemaHash, asOf, entityRowsTag, sources]));
};
