/*
 * The state machine of a model's alerts. Windows come in the order of time; at most one alert a kind is open. It fires in
 * the first window that violates, stays attached to the windows that follow, and clears in the first window in which no
 * rule is violated and every cause has come back behind its threshold by the rule's hysteresis.
 *
 *   window        W1   W2   W3   W4   W5
 *   measure        .   ##   ##   #.    .        (# over the threshold, #. within the hysteresis)
 *   events             FIRING         RESOLVED
 *
 * A window is judged again when late rows or labels changed its counts. All of it is a function of the counts and of
 * what was judged before, never of the clock.
 */

import { clone, create } from "@bufbuild/protobuf";
import { type AlertEvent, AlertEventSchema } from "@millrace/contracts/millrace/event/v1/event";
import {
  type JudgedSeries,
  JudgedSeriesSchema,
  type JudgedWindow,
  JudgedWindowSchema,
  OpenAlertSchema,
  PendingEventSchema,
} from "@millrace/contracts/millrace/monitoring/v1/state";
import type { WatchRules } from "../monitors/watch-rules.ts";
import type { Judgement } from "../windows/apply-rules.ts";
import type { AssembledWindow } from "../windows/assemble-window.ts";
import { timestampOfUs } from "../windows/assemble-window.ts";
import { summaryOf, windowText } from "./alert-text.ts";
import { decideAction } from "./decide-action.ts";
import { rankCauses } from "./rank-causes.ts";

/** Performance first: what it finds decides what drift means. */
const kinds = ["PERFORMANCE", "DATA_QUALITY", "DRIFT"] as const;
type Kind = (typeof kinds)[number];

/**
 * Judges the windows of one model and package that end at or before a time.
 * @param windows all of the series' windows, the oldest first.
 * @param canStartRuns whether there is a training service to ask.
 * @returns the series as it is then, or undefined where nothing changed.
 */
export const advanceSeries = (
  before: JudgedSeries,
  windows: readonly AssembledWindow[],
  rules: WatchRules,
  untilUs: bigint,
  canStartRuns: boolean,
): JudgedSeries | undefined => {
  const series = clone(JudgedSeriesSchema, before);
  let changed = false;
  let again = false;
  windows.forEach((window, index) => {
    const { fromUs, toUs, profile } = window.counted;
    if (toUs > untilUs) return;
    const labelled = profile.performance?.labelled ?? 0n;
    let judged = series.windows.find((each) => each.fromUs === fromUs && each.toUs === toUs);
    if (judged !== undefined && judged.rows === profile.rows && judged.labelled === labelled && !again) return;
    changed = true;
    if (judged === undefined) {
      judged = create(JudgedWindowSchema, { fromUs, toUs });
      series.windows.push(judged);
    }
    judged.rows = profile.rows;
    judged.labelled = labelled;
    for (const kind of kinds) {
      const moved = judgeKind(series, judged, kind, windows, index, rules, canStartRuns);
      again ||= moved;
    }
    if (toUs > series.judgedUntilUs) series.judgedUntilUs = toUs;
  });
  series.windows.sort((a, b) => Number(a.fromUs - b.fromUs));
  return changed ? series : undefined;
};

/** @returns whether an alert fired or cleared, so that the windows after it must be looked at again. */
const judgeKind = (
  series: JudgedSeries,
  judged: JudgedWindow,
  kind: Kind,
  windows: readonly AssembledWindow[],
  index: number,
  rules: WatchRules,
  canStartRuns: boolean,
): boolean => {
  const window = windows[index] as AssembledWindow;
  const ofKind = window.judgements.filter((each) => each.kind === kind);
  const violations = ofKind.filter((each) => each.violated && isSustained(each, windows, index));
  const open = series.openAlerts.find((each) => each.kind === kind);
  const isOpen = open?.event?.windowFrom !== undefined && startsBefore(open.event, judged);
  const attached = judged.alerts.findIndex((each) => each.kind === kind);
  if (violations.length > 0) {
    const causes = rankCauses(window.counted.watched, violations);
    if (isOpen && open?.event !== undefined)
      attach(judged, attached, {
        ...open.event,
        causes,
        summary: summaryOf(kind, series.model, window, rules, causes),
        actionReason:
          kind === "PERFORMANCE"
            ? open.event.actionReason
            : decideAction(kind, series, window, rules, window.counted.watched, causes, canStartRuns).reason,
      });
    else if (attached >= 0) attach(judged, attached, { ...(judged.alerts[attached] as AlertEvent), causes });
    else if (open === undefined) {
      fire(series, judged, kind, window, causes, rules, canStartRuns);
      return true;
    }
    return false;
  }
  if (!isOpen || open?.event === undefined || ofKind.length === 0) return false;
  if (!hasComeBack(open.event, ofKind)) {
    attach(judged, attached, { ...open.event });
    return false;
  }
  series.openAlerts = series.openAlerts.filter((each) => each !== open);
  resolve(series, open.event, window, rules);
  return true;
};

const startsBefore = (event: AlertEvent, judged: JudgedWindow): boolean =>
  (event.windowFrom?.seconds ?? 0n) * 1_000_000n <= judged.fromUs;

/** Whether a violation stands in as many windows in a row as its rule asks for. */
const isSustained = (violation: Judgement, windows: readonly AssembledWindow[], index: number): boolean => {
  for (let back = 1; back < violation.forWindows; back++) {
    const later = windows[index - back + 1];
    const earlier = windows[index - back];
    if (later === undefined || earlier === undefined || earlier.counted.toUs !== later.counted.fromUs) return false;
    const same = earlier.judgements.find(
      ({ column, measure, threshold }) =>
        column === violation.column && measure === violation.measure && threshold === violation.threshold,
    );
    if (same?.violated !== true) return false;
  }
  return true;
};

/** A cause that is no longer measured is no longer a cause. */
const hasComeBack = (event: AlertEvent, ofKind: readonly Judgement[]): boolean =>
  event.causes.every(({ column, measure }) =>
    ofKind.filter((each) => each.column === column && each.measure === measure).every(({ cleared }) => cleared),
  );

const attach = (judged: JudgedWindow, at: number, event: AlertEvent): void => {
  if (at >= 0) judged.alerts[at] = event;
  else judged.alerts.push(event);
};

const fire = (
  series: JudgedSeries,
  judged: JudgedWindow,
  kind: Kind,
  window: AssembledWindow,
  causes: AlertEvent["causes"],
  rules: WatchRules,
  canStartRuns: boolean,
): void => {
  const { model, packageDigest, fromUs, toUs, watched } = window.counted;
  const { action, reason, startRun } = decideAction(kind, series, window, rules, watched, causes, canStartRuns);
  const event = create(AlertEventSchema, {
    id: `${model}/${kind}/${new Date(Number(fromUs / 1000n)).toISOString()}/${rules.length}/${packageDigest.slice(-12)}`,
    monitor: rules.monitor.name,
    model,
    state: "FIRING",
    kind,
    windowFrom: timestampOfUs(fromUs),
    windowTo: timestampOfUs(toUs),
    summary: summaryOf(kind, model, window, rules, causes),
    causes,
    action,
    actionReason: reason,
  });
  if (startRun) series.lastRunWindowEndUs = toUs;
  series.openAlerts.push(create(OpenAlertSchema, { kind, event }));
  judged.alerts.push(event);
  series.outbox.push(create(PendingEventSchema, { event, startRun }));
};

const resolve = (series: JudgedSeries, open: AlertEvent, window: AssembledWindow, rules: WatchRules): void => {
  const event = create(AlertEventSchema, {
    ...open,
    state: "RESOLVED",
    windowFrom: timestampOfUs(window.counted.fromUs),
    windowTo: timestampOfUs(window.counted.toUs),
    summary: `The ${open.kind} alert of ${open.model} is over: in ${windowText(window, rules)} every cause is back behind its threshold.`,
    causes: [],
    action: "REPORT",
    actionReason: "Nothing is to be done.",
  });
  series.outbox.push(create(PendingEventSchema, { event, startRun: false }));
};
