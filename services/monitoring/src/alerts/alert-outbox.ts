import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { type AlertEvent, AlertEventSchema } from "@millrace/contracts/millrace/event/v1/event";
import {
  type JudgedSeries,
  JudgedSeriesSchema,
  type PendingEvent,
} from "@millrace/contracts/millrace/monitoring/v1/state";
import type { EventLog } from "@millrace/event-log";
import type { Kv } from "@millrace/kv";
import type { Monitors } from "../monitors/monitors.ts";
import { seriesKey } from "../state-keys.ts";

/** Asks the training service for a run. @returns the run's id, or why there is none. */
export type StartRun = (
  monitor: string,
  event: AlertEvent,
) => Promise<{ readonly runId: string } | { readonly refused: string }>;

export interface OutboxParts {
  readonly kv: Kv;
  readonly log: EventLog;
  readonly alertTopic: string;
  readonly monitors: Monitors;
  /** Undefined without a training service. */
  readonly startRun: StartRun | undefined;
  /** Told of a webhook that could not be reached. */
  readonly onWebhookFailed: (url: string, event: AlertEvent, error: unknown) => void;
  readonly onSent: (event: AlertEvent) => void;
}

const WEBHOOK_TRIES = 3;
const WEBHOOK_TIMEOUT_MS = 5000;

/**
 * Sends the events that were decided. They stand in the outbox, which is written with the decision; an event leaves it
 * when it is in the alert topic. A crash in between sends it again with the same id and state, and asks training again
 * with the same idempotency key, so readers that look at the id see each event once.
 */
export class AlertOutbox {
  readonly #parts: OutboxParts;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  async send(model: string, packageDigest: string): Promise<void> {
    const key = seriesKey(model, packageDigest);
    for (;;) {
      const [entry] = await this.#parts.kv.getManyVersioned([key]);
      if (entry === undefined) return;
      const series = fromBinary(JudgedSeriesSchema, entry.value);
      const [pending] = series.outbox;
      if (pending?.event === undefined) return;
      const event = await this.#withRun(pending, pending.event);
      await this.#append(event);
      series.outbox.shift();
      putAction(series, event, pending);
      const written = await this.#parts.kv.transact([
        { key, expectedVersion: entry.version, value: toBinary(JudgedSeriesSchema, series) },
      ]);
      if (!written) continue;
      this.#parts.onSent(event);
      await this.#callWebhook(event);
    }
  }

  async #withRun(pending: PendingEvent, event: AlertEvent): Promise<AlertEvent> {
    if (!pending.startRun) return event;
    const asked =
      this.#parts.startRun === undefined
        ? { refused: "the monitoring service has no address of a training service" }
        : await this.#parts.startRun(event.monitor, event);
    return "runId" in asked
      ? create(AlertEventSchema, { ...event, action: asked.runId })
      : create(AlertEventSchema, {
          ...event,
          actionReason: `${event.actionReason} No run was started: ${asked.refused}.`,
        });
  }

  async #append(event: AlertEvent): Promise<void> {
    await this.#parts.log.append(this.#parts.alertTopic, [
      {
        key: new TextEncoder().encode(event.model),
        value: toBinary(AlertEventSchema, event),
        headers: cloudEvent(event),
      },
    ]);
  }

  async #callWebhook(event: AlertEvent): Promise<void> {
    const url = this.#parts.monitors.rulesOf(event.model).monitor.actions?.webhook ?? "";
    if (url === "") return;
    let failure: unknown;
    for (let attempt = 0; attempt < WEBHOOK_TRIES; attempt++) {
      try {
        const response = await fetch(url, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            ...Object.fromEntries(
              Object.entries(cloudEvent(event)).map(([name, value]) => [name.replace("ce_", "ce-"), value]),
            ),
          },
          body: JSON.stringify(toJson(AlertEventSchema, event)),
          signal: AbortSignal.timeout(WEBHOOK_TIMEOUT_MS),
        });
        if (response.ok) return;
        failure = new Error(`The webhook answered ${response.status}.`);
      } catch (error) {
        failure = error;
      }
    }
    this.#parts.onWebhookFailed(url, event, failure);
  }
}

const cloudEvent = (event: AlertEvent): Record<string, string> => ({
  ce_id: `${event.id}/${event.state}`,
  ce_type: "io.millrace.alert.v1",
  ce_source: "millrace/monitoring",
  ce_specversion: "1.0",
});

/**
 * Puts what became of asking for a run where the alert is shown. Without that each window keeps its own words: they would
 * else depend on how many windows had been judged when the alert was sent.
 */
const putAction = (series: JudgedSeries, event: AlertEvent, { startRun }: PendingEvent): void => {
  if (event.state !== "FIRING" || !startRun) return;
  const { action, actionReason } = event;
  for (const open of series.openAlerts)
    if (open.event?.id === event.id) Object.assign(open.event, { action, actionReason });
  for (const window of series.windows)
    for (const alert of window.alerts) if (alert.id === event.id) Object.assign(alert, { action, actionReason });
};
