import { readFile, writeFile } from "node:fs/promises";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import type { AlertEvent } from "@millrace/contracts/millrace/event/v1/event";
import { MonitorSchema } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import {
  GetPredictionResponseSchema,
  GetReportRequest_Format,
  GetStatusResponseSchema,
  ListWindowsResponseSchema,
  MonitoringService,
  type Window,
} from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Command } from "commander";
import { parse } from "yaml";
import { timestampOf } from "../column-argument.ts";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { printMessage, printTable, timeText } from "../output.ts";

const command = (usage: string, description: string): Command => serviceCommand("monitoring", usage, description);

interface PeriodOptions extends ConnectionOptions {
  readonly from?: string;
  readonly to?: string;
  readonly json: boolean;
}

export const monitoringCommands = (): Command[] => [
  command("status [model]", "says how the watched models are")
    .option("--json", "print protobuf JSON", false)
    .action(status),
  command("windows <model>", "lists what was measured, a window a line")
    .option("--from <time>", "UTC")
    .option("--to <time>", "UTC")
    .option("--json", "print protobuf JSON", false)
    .action(windows),
  command("report <model>", "writes the report of a model")
    .option("--from <time>", "UTC")
    .option("--to <time>", "UTC")
    .option("--json", "JSON instead of HTML", false)
    .option("--out <file>", "default: standard output")
    .action(report),
  command("alerts [model]", "lists alerts, and waits for more with --follow")
    .option("--follow", "go on", false)
    .action(alerts),
  command("monitor <file>", "puts a monitor (YAML) in force").action(applyMonitor),
  command("prediction <id>", "shows one prediction: what was served, by which package, its label").action(
    async (id: string, options: ConnectionOptions) => {
      await withClient(MonitoringService, options, async (client) =>
        printMessage(GetPredictionResponseSchema, await client.getPrediction({ id })),
      );
    },
  ),
  command("label <id> <value>", "records the label of a prediction")
    .option("--at <time>", "when it became known, UTC; default: now")
    .action(label),
];

const status = async (model: string | undefined, options: ConnectionOptions & { json: boolean }): Promise<void> => {
  await withClient(MonitoringService, options, async (client) => {
    const answer = await client.getStatus({ model: model ?? "" });
    if (options.json) return printMessage(GetStatusResponseSchema, answer);
    printTable([
      ["model", "predictions", "labels", "newest window", "open alerts", ""],
      ...answer.models.map((one) => [
        one.model,
        String(one.predictions),
        String(one.labels),
        timeText(one.newestWindow?.from),
        one.openAlerts.map(({ kind }) => kind).join(", ") || "none",
        one.message,
      ]),
    ]);
  });
};

const measureText = ({ measures }: Window, name: string): string => {
  const measure = measures.find((one) => one.name === name);
  if (measure === undefined) return "";
  return measure.noValue === "" ? measure.value.toFixed(3) : measure.noValue;
};

const period = ({ from, to }: PeriodOptions) => {
  const [begin, end] = [timestampOf(from), timestampOf(to)];
  return { ...(begin && { from: begin }), ...(end && { to: end }) };
};

const windows = async (model: string, options: PeriodOptions): Promise<void> => {
  await withClient(MonitoringService, options, async (client) => {
    const answer = await client.listWindows({ model, ...period(options) });
    if (options.json) return printMessage(ListWindowsResponseSchema, answer);
    printTable([
      ["from", "slice", "rows", "log loss est.", "realized", "ROC AUC", "coverage", "alerts"],
      ...answer.windows.map((window) => [
        timeText(window.from),
        window.slice,
        String(window.rows),
        measureText(window, "ESTIMATED_LOG_LOSS"),
        measureText(window, "LOG_LOSS"),
        measureText(window, "ROC_AUC"),
        measureText(window, "LABEL_COVERAGE"),
        window.alerts.map(({ kind, state }) => `${kind} ${state}`).join(", ") || "none",
      ]),
    ]);
  });
};

const report = async (model: string, options: PeriodOptions & { out?: string }): Promise<void> => {
  await withClient(MonitoringService, options, async (client) => {
    const format = options.json ? GetReportRequest_Format.JSON : GetReportRequest_Format.HTML;
    const { content } = await client.getReport({ model, format, ...period(options) }, { timeoutMs: 60_000 });
    if (options.out === undefined) process.stdout.write(content);
    else {
      await writeFile(options.out, content);
      console.log(`${options.out}: ${content.length} characters`);
    }
  });
};

const alertText = ({ windowFrom, state, kind, summary }: AlertEvent): string =>
  `${timeText(windowFrom)} ${state} ${kind}: ${summary}`;

const alerts = async (model: string | undefined, options: ConnectionOptions & { follow: boolean }): Promise<void> => {
  await withClient(MonitoringService, options, async (client) => {
    if (!options.follow) {
      const models = model === undefined ? (await client.getStatus({})).models.map((one) => one.model) : [model];
      for (const name of models) {
        const { windows: all } = await client.listWindows({ model: name });
        for (const alert of all.flatMap((window) => window.alerts)) console.log(alertText(alert));
      }
      return;
    }
    for await (const { alert } of client.watchAlerts({ model: model ?? "" })) {
      if (alert !== undefined) console.log(alertText(alert));
    }
  });
};

const applyMonitor = async (file: string, options: ConnectionOptions): Promise<void> => {
  const text = await readFile(file, "utf8");
  const parsed = (() => {
    try {
      return fromJson(MonitorSchema, parse(text) as JsonValue);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new MillraceError("INVALID_ARGUMENT", Reason.MONITOR_INVALID, `${file} is no monitor: ${why}`, { cause });
    }
  })();
  await withClient(MonitoringService, options, async (client) => {
    const { monitor } = await client.apply({ monitor: parsed });
    console.log(`monitor ${monitor?.name} watches ${monitor?.model}`);
  });
};

const label = async (id: string, value: string, options: ConnectionOptions & { at?: string }): Promise<void> => {
  const at = timestampOf(options.at ?? new Date().toISOString());
  await withClient(MonitoringService, options, async (client) => {
    await client.recordLabels({
      labels: [{ predictionId: id, value: Number(value), ...(at && { eventTime: at, knownAt: at }) }],
    });
    console.log(`label of ${id} recorded`);
  });
};
