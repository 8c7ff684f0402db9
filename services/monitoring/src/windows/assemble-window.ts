import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Window, WindowSchema } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { JudgedWindow } from "@millrace/contracts/millrace/monitoring/v1/state";
import type { WatchRules } from "../monitors/watch-rules.ts";
import type { WatchedPackage } from "../packages/watched-package.ts";
import { applyRules, type Judgement } from "./apply-rules.ts";
import { BaselineWindows } from "./baseline-windows.ts";
import { measureColumns } from "./column-measures.ts";
import { measureModel } from "./model-measures.ts";
import type { CountedWindow } from "./window-reader.ts";

/** A window with its measures, and what the monitor's rules say of them. */
export interface AssembledWindow {
  readonly counted: CountedWindow;
  readonly window: Window;
  /** Empty for slices: they are reported, not judged. */
  readonly judgements: readonly Judgement[];
}

/** Measures windows; keeps the baseline cut for each package and monitor, which is the costly part. */
export class WindowAssembly {
  readonly #rules: WatchRules;
  readonly #baselines = new Map<WatchedPackage, BaselineWindows>();

  constructor(rules: WatchRules) {
    this.#rules = rules;
  }

  assemble(counted: CountedWindow, judged?: JudgedWindow): AssembledWindow {
    const { watched } = counted;
    let baseline = this.#baselines.get(watched);
    if (baseline === undefined) {
      baseline = new BaselineWindows(watched, this.#rules);
      this.#baselines.set(watched, baseline);
    }
    const columns = measureColumns(counted, this.#rules, baseline);
    const measures = measureModel(counted);
    const judgements = counted.slice === "" ? applyRules(this.#rules, watched, columns, measures) : [];
    const window = create(WindowSchema, {
      model: counted.model,
      packageDigest: counted.packageDigest,
      from: timestampOfUs(counted.fromUs),
      to: timestampOfUs(counted.toUs),
      rows: counted.profile.rows,
      judged: judged !== undefined,
      columns,
      measures,
      alerts: judged?.alerts ?? [],
      slice: counted.slice,
    });
    return { counted, window, judgements };
  }
}

/** @param timeUs whole milliseconds in microseconds, as calendar windows are. */
export const timestampOfUs = (timeUs: bigint) => timestampFromDate(new Date(Number(timeUs / 1000n)));
