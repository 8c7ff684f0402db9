import { create } from "@bufbuild/protobuf";
import {
  type Calibration,
  type ColumnLayout,
  type Profile,
  ProfileSchema,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { ColumnData } from "./column-data.ts";
import { ColumnProfiler, type DeclaredRange } from "./column-profiler.ts";
import { PerformanceProfiler } from "./performance-profiler.ts";

export interface ProfileOptions {
  /** Declared ranges by column name, for the count of values outside of them. */
  readonly ranges?: ReadonlyMap<string, DeclaredRange>;
  /** Keep what the metrics of a model with labels need. Default false. */
  readonly performance?: boolean;
  /** The package's calibration map, for estimates without labels. */
  readonly calibration?: Calibration | undefined;
}

/** Builds a mergeable profile row by row or column by column. */
export class ProfileBuilder {
  /** One a layout, in the order of the layouts. */
  readonly columns: readonly ColumnProfiler[];
  readonly performance: PerformanceProfiler | undefined;
  readonly #byName: ReadonlyMap<string, ColumnProfiler>;
  #rows = 0;

  constructor(layouts: readonly ColumnLayout[], options: ProfileOptions = {}) {
    this.columns = layouts.map((layout) => new ColumnProfiler(layout, options.ranges?.get(layout.name)));
    this.#byName = new Map(this.columns.map((column) => [column.layout.name, column]));
    this.performance = options.performance === true ? new PerformanceProfiler(options.calibration) : undefined;
  }

  get rows(): number {
    return this.#rows;
  }

  column(name: string): ColumnProfiler | undefined {
    return this.#byName.get(name);
  }

  /** Counts rows; their values are added to the columns. */
  addRows(rows: number): void {
    this.#rows += rows;
  }

  /** Adds all, or some, values of a column. Does not count rows. @param rows row indices; default all. */
  addColumn(data: ColumnData, rows?: ArrayLike<number>): void {
    const column = this.#byName.get(data.name);
    if (column === undefined) throw new RangeError(`The profile has no column \`${data.name}\`.`);
    const count = rows === undefined ? data.values.length : rows.length;
    for (let index = 0; index < count; index++) {
      const row = rows === undefined ? index : (rows[index] as number);
      const value = data.values[row];
      const status = data.statuses?.[row];
      if (status !== undefined) column.addStatus(status);
      if (data.nulls?.[row] === 1 || value === null || value === undefined) column.addNull();
      else if (typeof value === "number") column.addNumber(value);
      else column.addString(value);
    }
  }

  /** Adds the rows of a profile of the same layouts; columns that it lacks are left as they are. */
  merge(profile: Profile): void {
    this.#rows += Number(profile.rows);
    for (const column of profile.columns) this.#byName.get(column.name)?.merge(column);
    if (profile.performance !== undefined) this.performance?.merge(profile.performance);
  }

  toProfile(): Profile {
    return create(ProfileSchema, {
      rows: BigInt(this.#rows),
      columns: this.columns.map((column) => column.toProfile()),
      ...(this.performance === undefined ? {} : { performance: this.performance.toPerformance() }),
    });
  }
}

/** The profile of the rows of all profiles together. Their columns must have the given layouts. */
export const mergeProfiles = (layouts: readonly ColumnLayout[], profiles: readonly Profile[]): Profile => {
  const builder = new ProfileBuilder(layouts, {
    performance: profiles.some(({ performance }) => performance !== undefined),
  });
  for (const profile of profiles) builder.merge(profile);
  return builder.toProfile();
};
