import { create } from "@bufbuild/protobuf";
import { type LogSettingsRequest, LogSettingsRequestSchema } from "@millrace/contracts/inference/grpc_service";
import type { CallContext } from "@millrace/grpc";
import { describe, expect, test } from "vitest";
import { logSettings } from "./log-settings.ts";

type Value = NonNullable<LogSettingsRequest["settings"][string]>["parameterChoice"];
const on = (value: boolean): Value => ({ case: "boolParam", value });
const verbose = (value: number): Value => ({ case: "uint32Param", value });

const change = async (level: string, settings: Record<string, Value>) => {
  const log = { level };
  const request = create(LogSettingsRequestSchema, {
    settings: Object.fromEntries(
      Object.entries(settings).map(([name, parameterChoice]) => [name, { parameterChoice }]),
    ),
  });
  await logSettings(log)(request, {} as CallContext);
  return log.level;
};

describe("log settings", () => {
  test.each([
    ["info", {}, "info"],
    ["silent", {}, "silent"],
    ["info", { log_info: on(false) }, "warn"],
    ["info", { log_info: on(false), log_warning: on(false) }, "error"],
    ["info", { log_info: on(false), log_warning: on(false), log_error: on(false) }, "fatal"],
    ["error", { log_warning: on(true), log_info: on(true) }, "info"],
    ["info", { log_verbose_level: verbose(1) }, "debug"],
    ["info", { log_verbose_level: verbose(2) }, "trace"],
    ["trace", { log_verbose_level: verbose(0) }, "info"],
    ["info", { log_file: { case: "stringParam" as const, value: "" } }, "info"],
  ])("of a log at %s, with %j, make it %s", async (before, settings, after) => {
    expect(await change(before, settings)).toBe(after);
  });

  test.each([
    [{ log_warning: on(false) }, /settings.log_info: expected false where a graver one is off/],
    [{ log_info: on(false), log_verbose_level: verbose(1) }, /settings.log_verbose_level: expected 0/],
    [{ log_verbose_level: verbose(3) }, /expected 0 to 2, got 3/],
    [{ log_verbose_level: on(true) }, /expected uint32_param/],
    [{ log_info: verbose(1) }, /expected bool_param/],
    [{ log_file: { case: "stringParam" as const, value: "/a" } }, /goes to standard output/],
    [{ log_format: { case: "stringParam" as const, value: "default" } }, /settings.log_format: expected one of/],
  ])("%j are refused", async (settings, message) => {
    await expect(change("info", settings)).rejects.toThrow(message);
  });
});
