import { realpath } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import type { MonitoringService, Table } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import { ComparisonInvalidError } from "@millrace/stats";
import { compareParquet } from "@millrace/stats/parquet";
import type { MonitoringRooms } from "../monitoring-rooms.ts";

/** Thrown for a table that comes as an Arrow stream: only Parquet files are read. */
export class ArrowUnsupportedError extends MillraceError {
  constructor(field: string) {
    super("UNIMPLEMENTED", Reason.UNIMPLEMENTED, "Compare reads Parquet files; Arrow streams are not read yet.", {
      violations: [{ field: `${field}.arrow`, expected: "parquet", got: "arrow" }],
    });
  }
}

/** Compares two Parquet files below the data root exactly. */
export const compare =
  ({ dataRoot }: MonitoringRooms): Unary<typeof MonitoringService.method.compare> =>
  async ({ reference, current, tests, columns }) => {
    const comparison = await compareParquet(
      await pathOf(dataRoot, "reference", reference),
      await pathOf(dataRoot, "current", current),
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

/** The file's real path, which must lie below the data root. */
const pathOf = async (dataRoot: string, field: string, table: Table | undefined): Promise<string> => {
  if (table?.data.case === "arrow") throw new ArrowUnsupportedError(field);
  const asked = table?.data.case === "parquet" ? table.data.value : "";
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
