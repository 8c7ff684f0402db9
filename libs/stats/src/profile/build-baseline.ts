import { create } from "@bufbuild/protobuf";
import {
  type Baseline,
  BaselineSchema,
  type Calibration,
  DayProfileSchema,
  Meaning,
} from "@millrace/contracts/millrace/model/v1/model_package";
import { Calendar } from "../calendar.ts";
import { EmptySampleError } from "../empty-sample-error.ts";
import type { Numbers } from "../metrics/scored-rows.ts";
import type { ColumnData } from "./column-data.ts";
import type { DeclaredRange } from "./column-profiler.ts";
import { fitColumnLayout, type LayoutOptions } from "./fit-column-layout.ts";
import { ProfileBuilder } from "./profile-builder.ts";

export interface BaselineRows {
  /** The model's inputs and outputs, as many values each as there are rows. Columns of embeddings are left out. */
  readonly columns: readonly ColumnData[];
  /** Event time a row, in microseconds since 1970: it says to which day the row belongs. */
  readonly eventTimesUs: BigInt64Array;
  /** The calendar of the days. Default UTC. */
  readonly timeZone?: string;
  readonly ranges?: ReadonlyMap<string, DeclaredRange>;
  /** Of a binary model: served score and label a row. */
  readonly performance?: {
    readonly scores: Numbers;
    readonly labels: Numbers;
    readonly calibration?: Calibration | undefined;
  };
  readonly layout?: LayoutOptions;
}

/**
 * Profiles rows by calendar day, on layouts that are fitted to all of them: what a package carries as its normal.
 * @throws EmptySampleError for no rows.
 */
export const buildBaseline = (input: BaselineRows): Baseline => {
  const rows = input.eventTimesUs.length;
  if (rows === 0) throw new EmptySampleError("baseline");
  const columns = input.columns.filter(({ meaning }) => meaning !== Meaning.EMBEDDING);
  for (const { name, values } of columns)
    if (values.length !== rows)
      throw new RangeError(`Column \`${name}\` has ${values.length} values for ${rows} rows.`);
  const calendar = new Calendar(input.timeZone);
  const layouts = columns.map((column) => fitColumnLayout(column, input.layout));
  const rowsByDay = Map.groupBy(
    Uint32Array.from({ length: rows }, (_, row) => row),
    (row) => calendar.dayOf(input.eventTimesUs[row] as bigint),
  );
  const days = [...rowsByDay].sort(([a], [b]) => a - b);
  return create(BaselineSchema, {
    columns: layouts,
    timeZone: calendar.timeZone,
    days: days.map(([day, dayRows]) => {
      const builder = new ProfileBuilder(layouts, {
        ...(input.ranges === undefined ? {} : { ranges: input.ranges }),
        performance: input.performance !== undefined,
        calibration: input.performance?.calibration,
      });
      builder.addRows(dayRows.length);
      for (const column of columns) builder.addColumn(column, dayRows);
      if (input.performance !== undefined && builder.performance !== undefined)
        for (const row of dayRows) {
          const score = input.performance.scores[row] as number;
          builder.performance.addScore(score);
          builder.performance.addLabel(score, input.performance.labels[row] as number);
        }
      return create(DayProfileSchema, { day, profile: builder.toProfile() });
    }),
  });
};
