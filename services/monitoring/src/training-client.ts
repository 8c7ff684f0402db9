import type { AlertEvent } from "@millrace/contracts/millrace/event/v1/event";
import { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import { type Channel, createClient, RpcError } from "@millrace/grpc";
import type { StartRun } from "./alerts/alert-outbox.ts";
import type { Monitors } from "./monitors/monitors.ts";

const TRIES = 3;
const TIMEOUT_MS = 5000;

/**
 * Asks the training service for the run that a monitor names. The alert's id is the idempotency key: asked again after a
 * crash, training answers the same run. A service that does not answer is asked three times; then the alert says so.
 */
export const startRunThrough = (channel: Channel, monitors: Monitors): StartRun => {
  const client = createClient(TrainingService, channel, { timeoutMs: TIMEOUT_MS });
  return async (monitor: string, event: AlertEvent) => {
    const spec = monitors.rulesOf(event.model).monitor.actions?.startRun?.spec;
    if (spec === undefined) return { refused: "the monitor names no training spec any more" };
    let refused = "";
    for (let attempt = 0; attempt < TRIES; attempt++) {
      try {
        const { run } = await client.startRun({
          spec,
          idempotencyKey: event.id,
          requestedBy: `monitor ${monitor}, alert ${event.id}`,
        });
        return run === undefined ? { refused: "training answered no run" } : { runId: run.id };
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        refused = `training answered ${error.code} (${error.message})`;
        if (error.code !== "UNAVAILABLE" && error.code !== "DEADLINE_EXCEEDED") break;
      }
    }
    return { refused };
  };
};
