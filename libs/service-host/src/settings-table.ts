import { z } from "zod";
import { flagName, type Setting, type Settings, variableName } from "./setting.ts";

/** The table of settings for a README: variable, flag, values, default and sentence. */
export const settingsTable = (settings: Settings): string => {
  const rows = Object.entries(settings).map(([key, each]) => {
    const cells = [`\`${variableName(key)}\``, `\`${flagName(key)}\``, valuesOf(each), defaultOf(each), each.sentence];
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  });
  return ["| environment | flag | values | default | what it is for |", "|---|---|---|---|---|", ...rows].join("\n");
};

/** What `--help` prints. */
export const helpText = (service: string, settings: Settings): string => {
  const entries = Object.entries(settings).map(([key, each]) => {
    const values = valuesOf(each).replaceAll("`", "");
    return `  ${flagName(key)}, ${variableName(key)}\n      ${each.sentence}\n      ${values}; default: ${defaultOf(each).replaceAll("`", "")}`;
  });
  return [
    `${service}: settings come from the environment, and flags go over it.`,
    `With the word healthcheck in front, it asks the running service whether it serves, and exits 0 or 1.`,
    "",
    ...entries,
    "",
  ].join("\n");
};

const defaultOf = ({ schema }: Setting<unknown>): string => {
  const absent = schema.safeParse(undefined);
  if (!absent.success) {
    return "required";
  }
  return absent.data === undefined || absent.data === "" ? "none" : `\`${String(absent.data)}\``;
};

const valuesOf = ({ schema }: Setting<unknown>): string => {
  const described = z.toJSONSchema(schema, { io: "output", unrepresentable: "any" });
  if (described.enum !== undefined) {
    return described.enum.map((value) => `\`${String(value)}\``).join(", ");
  }
  const { type, minimum, maximum, format } = described;
  const bounded = [
    minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? undefined : `from ${minimum}`,
    maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : `to ${maximum}`,
  ].filter((part) => part !== undefined);
  const noun =
    format === "uri"
      ? "URL"
      : type === "integer"
        ? "whole number"
        : type === "number"
          ? "number"
          : type === "boolean"
            ? "`true`, `false`"
            : "text";
  return [noun, ...bounded].join(" ");
};
