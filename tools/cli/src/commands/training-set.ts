import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { Command, Option } from "commander";

interface TrainingSetOptions {
  readonly repository: string;
  readonly service: string;
  readonly entities: string;
  readonly asOf: "EVENT_TIME" | "KNOWN_AT";
  readonly out: string;
  readonly dataRoot?: string;
  readonly eventTime: string;
  readonly sqlConnections?: string;
}

/** Builds a point-in-time training set from files into a file, without a service. */
export const trainingSetCommand = (): Command =>
  new Command("training-set")
    .description("builds a point-in-time training set from Parquet files, without a running service")
    .requiredOption("--repository <folder>", "the feature repository: a folder of YAML files")
    .requiredOption("--service <name>", "the feature service whose features are wanted")
    .requiredOption(
      "--entities <file>",
      "Parquet: entity keys, request fields and the time of each row, and what else is to be kept",
    )
    .addOption(
      new Option("--as-of <time>", "count a fact from when it happened, or from when it was known")
        .choices(["EVENT_TIME", "KNOWN_AT"])
        .default("EVENT_TIME"),
    )
    .requiredOption("--out <file>", "the Parquet file to write: a row for each row of --entities, in their order")
    .option("--data-root <folder>", "what the sources' paths are relative to; default: the repository's folder")
    .option("--sql-connections <file>", "the databases of sql sources: NAME=postgres://USER@HOST/DATABASE a line")
    .option("--event-time <column>", "the column of --entities that holds the time, UTC", "event_time")
    .action(
      async ({ repository, service, entities, asOf, out, dataRoot, eventTime, sqlConnections }: TrainingSetOptions) => {
        // Loaded when it is needed: a command that asks a service starts without a SQL engine.
        const { writeTrainingSet } = await import("@millrace/feature-definition/duckdb");
        const written = await writeTrainingSet({
          repositoryFolder: repository,
          service,
          entitiesParquet: entities,
          asOf: asOf === "KNOWN_AT" ? AsOf.KNOWN_AT : AsOf.EVENT_TIME,
          outParquet: out,
          eventTime,
          ...(dataRoot !== undefined && { dataRoot }),
          ...(sqlConnections !== undefined && { sqlConnectionsFile: sqlConnections }),
        });
        console.log(
          `${out}: ${written.rows} rows, snapshot ${written.snapshotId.slice(0, 12)}, ${service} version ${written.featureServiceVersion}`,
        );
      },
    );
