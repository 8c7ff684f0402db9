import { fromBinary } from "@bufbuild/protobuf";
import { AlertEventSchema } from "@millrace/contracts/millrace/event/v1/event";
import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { ServerStreaming } from "@millrace/grpc";
import type { MonitoringRooms } from "../monitoring-rooms.ts";

const LOOK_MS = 200;

/** The alerts so far, then each new one, read from the alert topic. An event that was sent twice is passed on once. */
export const watchAlerts = ({
  log,
  alertTopic,
  stopping,
}: MonitoringRooms): ServerStreaming<typeof MonitoringService.method.watchAlerts> =>
  async function* ({ model }, call) {
    const signal = AbortSignal.any([call.signal, stopping]);
    const next = new Map<number, bigint>();
    const seen = new Set<string>();
    while (!signal.aborted) {
      for (const { partition, first, end } of await log.bounds(alertTopic)) {
        const offset = next.get(partition) ?? first;
        if (offset >= end) continue;
        for await (const batch of log.read(alertTopic, { partition, offset }, signal))
          for (const record of batch.records) {
            next.set(partition, record.offset + 1n);
            if (record.value === null) continue;
            const alert = fromBinary(AlertEventSchema, record.value);
            const name = `${alert.id}/${alert.state}`;
            if ((model !== "" && alert.model !== model) || seen.has(name)) continue;
            seen.add(name);
            yield { alert };
          }
      }
      await pause(LOOK_MS, signal);
    }
  };

const pause = (waitMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, waitMs);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
