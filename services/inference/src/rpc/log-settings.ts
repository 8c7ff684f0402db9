import type { GRPCInferenceService, LogSettingsRequest } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import { ParameterInvalidError } from "../protocol/infer-parameters.ts";

/** A log whose level can be set: pino's. */
export interface LevelledLog {
  level: string;
}

type Flag = "log_error" | "log_warning" | "log_info";
type Value = NonNullable<LogSettingsRequest["settings"][string]>["parameterChoice"];

/**
 * Says what is logged, and sets it. The log has levels, each of which has those before it: errors, warnings, information,
 * then `log_verbose_level` 1 (debug) and 2 (trace). A change that would turn one off and leave a later one on is refused.
 * @throws ParameterInvalidError
 */
export const logSettings =
  (log: LevelledLog): Unary<typeof GRPCInferenceService.method.logSettings> =>
  async ({ settings }) => {
    if (Object.keys(settings).length > 0) log.level = levelOf(log.level, settings);
    const rank = levels.indexOf(log.level);
    const flag = (value: boolean) => ({ parameterChoice: { case: "boolParam" as const, value } });
    return {
      settings: {
        log_file: { parameterChoice: { case: "stringParam", value: "" } },
        log_info: flag(rank >= flags.log_info),
        log_warning: flag(rank >= flags.log_warning),
        log_error: flag(rank >= flags.log_error),
        log_verbose_level: { parameterChoice: { case: "uint32Param", value: Math.max(0, rank - flags.log_info) } },
      },
    };
  };

/** The levels by what they add to those before. */
const levels = ["fatal", "error", "warn", "info", "debug", "trace"];
const flags: Readonly<Record<Flag, number>> = { log_error: 1, log_warning: 2, log_info: 3 };
const mostVerbose = levels.length - 1 - flags.log_info;

const levelOf = (level: string, settings: LogSettingsRequest["settings"]): string => {
  const rank = levels.indexOf(level);
  const on: Record<Flag, boolean> = {
    log_error: rank >= flags.log_error,
    log_warning: rank >= flags.log_warning,
    log_info: rank >= flags.log_info,
  };
  let verbose = Math.max(0, rank - flags.log_info);
  for (const [name, { parameterChoice }] of Object.entries(settings)) {
    if (name === "log_file") {
      if (parameterChoice.case !== "stringParam" || parameterChoice.value !== "") {
        throw refused(name, "none: the log goes to standard output", parameterChoice);
      }
    } else if (name === "log_verbose_level") {
      if (parameterChoice.case !== "uint32Param") throw refused(name, "uint32_param", parameterChoice);
      if (parameterChoice.value > mostVerbose) throw refused(name, `0 to ${mostVerbose}`, parameterChoice);
      verbose = parameterChoice.value;
    } else if (Object.hasOwn(flags, name)) {
      if (parameterChoice.case !== "boolParam") throw refused(name, "bool_param", parameterChoice);
      on[name as Flag] = parameterChoice.value;
    } else {
      throw refused(name, `one of log_file, ${Object.keys(flags).join(", ")}, log_verbose_level`, parameterChoice);
    }
  }
  let reached = 0;
  for (const name of Object.keys(flags) as Flag[]) {
    if (!on[name]) continue;
    if (reached !== flags[name] - 1) {
      throw new ParameterInvalidError(`settings.${name}`, "false where a graver one is off", "true");
    }
    reached = flags[name];
  }
  if (verbose > 0 && !on.log_info) {
    throw new ParameterInvalidError("settings.log_verbose_level", "0 where log_info is off", `${verbose}`);
  }
  return levels[reached + verbose] ?? "trace";
};

const refused = (name: string, expected: string, { value }: Value): ParameterInvalidError =>
  new ParameterInvalidError(`settings.${name}`, expected, value === undefined ? "no value" : String(value));
