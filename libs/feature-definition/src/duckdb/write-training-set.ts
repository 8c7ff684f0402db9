import { basename, dirname, resolve } from "node:path";
import { create } from "@bufbuild/protobuf";
import { AsOf, EntityQuerySchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { compileRepository } from "../compile-repository.ts";
import { FeatureServiceUnknownError } from "../feature-service-unknown-error.ts";
import { loadRepository } from "../load-repository.ts";
import { type DuckDbOptions, DuckDbSession } from "./duckdb-session.ts";
import { loadQueriedEntityRows } from "./entity-query.ts";
import { snapshotId } from "./snapshot-id.ts";
import { engineError, openSources } from "./training-set.ts";
import { trainingSetSql } from "./training-set-sql.ts";
import { unfinishedFile } from "./unfinished-file.ts";
import { writeParquet } from "./write-parquet.ts";

export interface WriteTrainingSetOptions {
  /** The folder of YAML files. */
  readonly repositoryFolder: string;
  /** The folder that the sources' paths are relative to. Default: the repository's folder. */
  readonly dataRoot?: string;
  /** The file that has the databases of `sql` sources. */
  readonly sqlConnectionsFile?: string;
  /** The name of a feature service. */
  readonly service: string;
  /** A Parquet file: entity keys, request fields and the time as columns of their names, and any others. */
  readonly entitiesParquet: string;
  /** Default `event_time`. */
  readonly eventTime?: string;
  readonly asOf: AsOf;
  /** Written anew: the entities' columns as they are, then one `view__feature` a feature. */
  readonly outParquet: string;
  readonly engine?: DuckDbOptions;
}

export interface WrittenTrainingSet {
  readonly rows: number;
  readonly snapshotId: string;
  readonly featureServiceVersion: string;
}

/**
 * Builds a point-in-time training set from files into a file, without a running service.
 * @throws DefinitionInvalidError, FeatureServiceUnknownError, ColumnInvalidError, SourceDataInvalidError, EngineFailedError
 */
export const writeTrainingSet = async (options: WriteTrainingSetOptions): Promise<WrittenTrainingSet> => {
  const repository = compileRepository(await loadRepository(options.repositoryFolder));
  const service = repository.services.get(options.service);
  if (service === undefined) throw new FeatureServiceUnknownError(options.service, [...repository.services.keys()]);
  const asOf = options.asOf === AsOf.KNOWN_AT ? AsOf.KNOWN_AT : AsOf.EVENT_TIME;
  const entities = resolve(options.entitiesParquet);
  const query = create(EntityQuerySchema, { data: { case: "parquet", value: basename(entities) } });
  const session = await DuckDbSession.open(options.engine);
  const out = await unfinishedFile(resolve(options.outParquet));
  try {
    const loaded = await loadQueriedEntityRows(
      query,
      service,
      options.eventTime ?? "event_time",
      { dataRoot: dirname(entities) },
      session,
      "all",
    );
    const location = {
      dataRoot: options.dataRoot ?? options.repositoryFolder,
      sqlConnectionsFile: options.sqlConnectionsFile,
    };
    const relations = await openSources(repository, service, location, session);
    const kept = loaded.kept.kind === "columns" ? loaded.kept.columns : [];
    const sql = trainingSetSql(
      repository,
      service,
      asOf,
      ({ name, fields }) => relations.get(name)?.select(fields) ?? "",
      kept,
      "timestamps",
    );
    await writeParquet(sql, out.path, session);
    await out.finish();
    return {
      rows: loaded.rows,
      snapshotId: await snapshotId(service, asOf, loaded.tag, relations),
      featureServiceVersion: service.version,
    };
  } catch (error) {
    throw engineError(error);
  } finally {
    session.close();
    await out.discard();
  }
};
