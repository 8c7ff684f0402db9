import { create, toJson } from "@bufbuild/protobuf";
import {
  GetReportRequest_Format,
  ListWindowsResponseSchema,
  type MonitoringService,
} from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import type { Unary } from "@millrace/grpc";
import type { MonitoringRooms } from "../monitoring-rooms.ts";
import { reportPage } from "../report/report-page.ts";
import { assembledWindows, windowMessages } from "../windows/list-windows.ts";
import { microsecondsOf } from "./timestamps.ts";

/** The report of a model: an HTML page, or its windows as JSON (a ListWindowsResponse). */
export const getReport =
  (rooms: MonitoringRooms): Unary<typeof MonitoringService.method.getReport> =>
  async ({ model, from, to, format }) => {
    const windows = await assembledWindows(rooms, model, { fromUs: microsecondsOf(from), toUs: microsecondsOf(to) });
    if (format === GetReportRequest_Format.JSON) {
      const message = create(ListWindowsResponseSchema, { windows: windowMessages(windows) });
      return { content: JSON.stringify(toJson(ListWindowsResponseSchema, message)), mediaType: "application/json" };
    }
    return {
      content: await reportPage(model, rooms.monitors.rulesOf(model), windows),
      mediaType: "text/html; charset=utf-8",
    };
  };
