import { realpath } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import type { MonitoringService, Table } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { Unary } from "@millrace/grpc";
import { ComparisonInvalidError } from "@millrace/stats";
import { compareTables, type TableToCompare } from "@millrace/stats/compare-tables";
import type { MonitoringRooms } from "../monitoring-rooms.ts";

/** Compares two tables exactly: Parquet files below the data root, or Arrow IPC streams. */
export const compare =
  ({ dataRoot }: MonitoringRooms): Unary<typeof MonitoringService.method.compare> =>
  async ({ reference, current, tests, columns }) => {
    const comparison = await compareTables(
      await tableOf(dataRoot, "reference", reference),
      await tableOf(dataRoot, "current", current),
      { tests, columns },
    );
    return {
      datasetDrift: comparison.datasetDrift,
      columns: comparison.columns.map(({ pValue, ...rest }) => ({
        ...rest,
        ...(pValue === undefined ? {} : { pValue }),
      })),
    };
  };

const tableOf = async (dataRoot: string, field: string, table: Table | undefined): Promise<TableToCompare> =>
  table?.data.case === "arrow"
    ? { arrow: table.data.value }
    : { parquet: await pathOf(dataRoot, field, table?.data.value ?? "") };

/** The file's real path, which must lie below the data root. */
const pathOf = async (dataRoot: string, field: string, asked: string): Promise<string> => {
  const refuse = (expected: string, cause?: unknown) =>
    new ComparisonInvalidError(
      `${field}.parquet is no file below the data root.`,
      [{ field: `${field}.parquet`, expected, got: asked }],
      cause,
    );
  if (asked.includes("\0")) throw refuse("a path");
  const root = await realpath(resolve(dataRoot));
  const path = await realpath(resolve(root, asked)).catch((cause: unknown) => {
    throw refuse("a file that exists", cause);
  });
  const below = relative(root, path);
  if (below === "" || below.startsWith("..") || isAbsolute(below)) throw refuse("a path below the data root");
  return path;
};
