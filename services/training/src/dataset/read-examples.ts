import { createHash } from "node:crypto";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { Dataset } from "@millrace/contracts/millrace/training/v1/training_spec";
import type { DataLocation } from "@millrace/feature-definition/duckdb";
import { TrainingSpecInvalidError } from "../spec/training-spec-invalid-error.ts";
import { assembleTable, type NamedColumn } from "./assemble-table.ts";
import { type CollectedValue, ColumnCollector } from "./column-collector.ts";
import { openExamplesFiles } from "./examples-files.ts";
import { type ExamplesRole, examplesQuery } from "./examples-query.ts";
import type { TrainingTable } from "./training-table.ts";

/**
 * Reads a dataset from files or a query alone: for those who adopt training without feature-serving. The named
 * columns are the features. Rows come in the order of their event time; ties in that of the files.
 *
 * @throws TrainingSpecInvalidError naming the field of the spec; what `openExamplesFiles` throws.
 */
export const readExamples = async (
  dataset: Dataset,
  location: DataLocation,
  signal: AbortSignal,
  onRows: (rows: number) => void,
): Promise<TrainingTable> => {
  const files = await openExamplesFiles(dataset.examples?.data ?? { case: undefined }, location);
  try {
    const { query, violations } = examplesQuery(dataset, files.columns, files.others);
    if (query === undefined) {
      throw new TrainingSpecInvalidError(violations);
    }
    const collectors = query.columns.map(({ type }) => new ColumnCollector(type));
    const result = await files.connection.stream(query.sql);
    let rows = 0;
    for (
      let chunk = await result.fetchChunk();
      chunk !== null && chunk.rowCount > 0;
      chunk = await result.fetchChunk()
    ) {
      signal.throwIfAborted();
      collectors.forEach((collector, column) => {
        for (const value of chunk.getColumnValues(column)) {
          collector.add(value as CollectedValue);
        }
      });
      rows += chunk.rowCount;
      onRows(rows);
    }
    const columns: NamedColumn<ExamplesRole>[] = query.columns.map((column, place) => ({
      ...column,
      data: (collectors[place] ?? new ColumnCollector(ValueType.STRING)).values(),
    }));
    const snapshotId = createHash("sha256")
      .update(`${await files.hash()}\n${query.sql}`)
      .digest("hex");
    return assembleTable(columns, {
      snapshotId: `${dataset.examples?.data.case === "sql" ? "query" : "files"}-${snapshotId.slice(0, 32)}`,
      newestEventUs: 0n,
      definitionsHash: "",
      definitionsRevision: "",
      featureServiceVersion: "",
      schemaHash: "",
    });
  } finally {
    files.close();
  }
};
