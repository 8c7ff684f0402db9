import { create } from "@bufbuild/protobuf";
import { MonitorSchema } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { Unary } from "@millrace/grpc";
import type { MonitoringRooms } from "../monitoring-rooms.ts";

/** Puts a monitor in force, and answers it with its defaults. */
export const apply =
  ({ monitors }: MonitoringRooms): Unary<typeof MonitoringService.method.apply> =>
  async ({ monitor }) => ({ monitor: await monitors.apply(monitor ?? create(MonitorSchema)) });
