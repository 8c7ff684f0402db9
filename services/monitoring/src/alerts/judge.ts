import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type JudgedSeries, JudgedSeriesSchema } from "@millrace/contracts/millrace/monitoring/v1/state";
import type { Kv } from "@millrace/kv";
import type { Monitors } from "../monitors/monitors.ts";
import { seriesKey } from "../state-keys.ts";
import { type AssembledWindow, WindowAssembly } from "../windows/assemble-window.ts";
import type { WindowReader } from "../windows/window-reader.ts";
import { advanceSeries } from "./advance-series.ts";
import type { AlertOutbox } from "./alert-outbox.ts";

export interface JudgeParts {
  readonly kv: Kv;
  readonly monitors: Monitors;
  readonly reader: WindowReader;
  readonly outbox: AlertOutbox;
  readonly canStartRuns: boolean;
  /** Told of each window that was judged, for metrics. */
  readonly onJudged: (window: AssembledWindow, series: JudgedSeries) => void;
}

/** Judges windows and sends the alerts that follow. Several replicas may judge at once: the store lets one through. */
export class Judge {
  readonly #parts: JudgeParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: JudgeParts) {
    this.#parts = parts;
  }

  /** Judges every window of a model that ends at or before a time, and sends what was decided. */
  judge(model: string, untilUs: bigint): Promise<void> {
    const turn = this.#last.then(() => this.#judge(model, untilUs));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #judge(model: string, untilUs: bigint): Promise<void> {
    const rules = this.#parts.monitors.rulesOf(model);
    const assembly = new WindowAssembly(rules);
    const counted = await this.#parts.reader.read(model, rules);
    const byPackage = Map.groupBy(
      counted.filter(({ slice }) => slice === ""),
      ({ packageDigest }) => packageDigest,
    );
    for (const [packageDigest, ofPackage] of byPackage) {
      const windows = ofPackage.map((each) => assembly.assemble(each));
      const key = seriesKey(model, packageDigest);
      for (;;) {
        const [entry] = await this.#parts.kv.getManyVersioned([key]);
        const before =
          entry === undefined
            ? create(JudgedSeriesSchema, { model, packageDigest })
            : fromBinary(JudgedSeriesSchema, entry.value);
        const series = advanceSeries(before, windows, rules, untilUs, this.#parts.canStartRuns);
        if (series === undefined) break;
        const write = { key, expectedVersion: entry?.version ?? 0, value: toBinary(JudgedSeriesSchema, series) };
        if (!(await this.#parts.kv.transact([write]))) continue;
        const newest = windows.findLast(({ counted: { toUs } }) => toUs <= untilUs);
        if (newest !== undefined) this.#parts.onJudged(newest, series);
        break;
      }
      await this.#parts.outbox.send(model, packageDigest);
    }
  }

  /** What was judged of the packages of a model, by digest. */
  async series(model: string, packageDigests: Iterable<string>): Promise<ReadonlyMap<string, JudgedSeries>> {
    const digests = [...new Set(packageDigests)];
    const values =
      digests.length === 0 ? [] : await this.#parts.kv.getMany(digests.map((digest) => seriesKey(model, digest)));
    return new Map(
      digests.flatMap((digest, index) => {
        const value = values[index];
        return value === undefined ? [] : [[digest, fromBinary(JudgedSeriesSchema, value)] as const];
      }),
    );
  }
}
