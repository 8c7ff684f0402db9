import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { AsOf, GetSqlRequest_Dialect } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { CompiledSource } from "@millrace/feature-definition";
import type { Unary } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { NotBuiltError } from "../not-built-error.ts";
import { selectService } from "../select-service.ts";

/** Thrown when the SQL of a source without files is asked for. */
export class SourceWithoutFilesError extends MillraceError {
  constructor(source: string) {
    super(
      "FAILED_PRECONDITION",
      Reason.SOURCE_DATA_INVALID,
      `Source ${source} has no Parquet or CSV files, so there is no SQL that reads it.`,
      { resource: { kind: "source", name: source } },
    );
  }
}

/** The SQL that computes a feature service offline, in DuckDB's dialect, for a table `entity_rows`. */
export const getSql =
  ({ catalogue }: FeatureServing): Unary<typeof FeatureService.method.getSql> =>
  async (request) => {
    if (request.dialect === GetSqlRequest_Dialect.SPARK) {
      throw new NotBuiltError("dialect", "DUCKDB, the one that is written", "SPARK");
    }
    const { repository } = catalogue.definitions();
    const service = selectService(repository, { case: "featureService", value: request.featureService });
    // Loaded when it is first needed: the engine behind it is large, and serving goes without.
    const { trainingSetSql } = await import("@millrace/feature-definition/duckdb");
    const asOf = request.asOf === AsOf.KNOWN_AT ? AsOf.KNOWN_AT : AsOf.EVENT_TIME;
    return { sql: trainingSetSql(repository, service, asOf, sourceSql) };
  };

/** The rows of a source's files, relative to the data root, with their place. @throws SourceWithoutFilesError */
function sourceSql({ name, fields, batch }: CompiledSource): string {
  const columns = fields.map((field) => `"${field.name}"`).join(", ");
  const data = batch?.data;
  if (data?.case === "parquet") {
    const sequence = `(CAST(file_index AS BIGINT) << 40) + file_row_number AS "__sequence"`;
    return `SELECT ${columns}, ${sequence} FROM read_parquet(${quoted(data.value)}, union_by_name = true)`;
  }
  if (data?.case === "csv") {
    const from = `read_csv(${quoted(data.value)}, header = true, union_by_name = true)`;
    return `SELECT ${columns}, row_number() OVER () AS "__sequence" FROM ${from}`;
  }
  throw new SourceWithoutFilesError(name);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
