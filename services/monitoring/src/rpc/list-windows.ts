import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { Unary } from "@millrace/grpc";
import type { MonitoringRooms } from "../monitoring-rooms.ts";
import { assembledWindows, windowMessages } from "../windows/list-windows.ts";
import { microsecondsOf } from "./timestamps.ts";

/** Windows of one model, the oldest first. */
export const listWindows =
  (rooms: MonitoringRooms): Unary<typeof MonitoringService.method.listWindows> =>
  async ({ model, from, to, packageDigest }) => ({
    windows: windowMessages(
      await assembledWindows(rooms, model, {
        fromUs: microsecondsOf(from),
        toUs: microsecondsOf(to),
        packageDigest: packageDigest === "" ? undefined : packageDigest,
      }),
    ),
  });
