import { MillraceError, Reason } from "@millrace/errors";
import type { z } from "zod";
import { type Config, flagName, type Settings, variableName } from "./setting.ts";

/** A setting is unknown, missing or malformed. The message is one line and names all of them. */
export class SettingsInvalidError extends MillraceError {
  constructor(problems: readonly { readonly field: string; readonly expected: string; readonly got: string }[]) {
    const lines = problems.map(({ field, expected, got }) => `${field}: expected ${expected}, got ${got}`);
    super("INVALID_ARGUMENT", Reason.SETTING_INVALID, `${lines.join("; ")}. --help lists all settings.`, {
      violations: problems,
    });
  }
}

/** Variables of the prefix that are read by others than services. */
const foreignVariables = new Set(["MILLRACE_SEED", "MILLRACE_FUZZ_CASES"]);

/**
 * Reads settings from the environment, and over it from flags: `--grpc-port 8011`, `--grpc-port=8011`, `--reflection`.
 * An empty variable counts as absent.
 * @throws SettingsInvalidError naming every problem at once.
 */
export const readSettings = <S extends Settings>(
  settings: S,
  source: { readonly environment: Readonly<Record<string, string | undefined>>; readonly arguments: readonly string[] },
): Config<S> => {
  const problems: { field: string; expected: string; got: string }[] = [];
  const texts = new Map<string, { field: string; text: string }>();
  const byVariable = new Map(Object.keys(settings).map((key) => [variableName(key), key]));
  const byFlag = new Map(Object.keys(settings).map((key) => [flagName(key), key]));
  for (const [variable, text] of Object.entries(source.environment)) {
    if (!variable.startsWith("MILLRACE_") || foreignVariables.has(variable)) {
      continue;
    }
    const key = byVariable.get(variable);
    if (key === undefined) {
      problems.push({
        field: variable,
        expected: nearest(variable, [...byVariable.keys()]),
        got: "an unknown setting",
      });
    } else if (text !== undefined && text !== "") {
      texts.set(key, { field: variable, text });
    }
  }
  const words = [...source.arguments];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const [flag = "", ...rest] = word.split("=");
    const key = byFlag.get(flag);
    if (key === undefined) {
      problems.push({ field: word, expected: nearest(flag, [...byFlag.keys()]), got: "an unknown flag" });
      // The value of an unknown flag is no problem of its own.
      if (word.startsWith("--") && rest.length === 0 && words[0]?.startsWith("--") === false) {
        words.shift();
      }
      continue;
    }
    const next = words[0];
    const inline = rest.length > 0 ? rest.join("=") : undefined;
    const following = next === undefined || next.startsWith("--") ? undefined : next;
    if (inline === undefined && following !== undefined) {
      words.shift();
    }
    texts.set(key, { field: flag, text: inline ?? following ?? "true" });
  }
  const config: Record<string, unknown> = {};
  for (const [key, { schema }] of Object.entries(settings)) {
    const given = texts.get(key);
    const result = schema.safeParse(given?.text);
    if (result.success) {
      config[key] = result.data;
    } else {
      const expected = result.error.issues.map(describeIssue).join(" and ");
      problems.push({
        field: given?.field ?? `${variableName(key)} or ${flagName(key)}`,
        expected,
        got: given === undefined ? "nothing" : shown(key, given.text),
      });
    }
  }
  if (problems.length > 0) {
    throw new SettingsInvalidError(problems);
  }
  return config as Config<S>;
};

// What names a secret, and what carries one before the @ of a URL, stays out of messages and logs.
const shown = (key: string, text: string): string =>
  /token|password|secret/i.test(key) && !/file$/i.test(key)
    ? "another text"
    : JSON.stringify(text.replace(/\/\/[^/@\s]*@/g, "//…@"));

const describeIssue = (issue: z.core.$ZodIssue): string => {
  switch (issue.code) {
    case "too_small":
      return issue.origin === "string"
        ? "a text that is not empty"
        : `${issue.inclusive === false ? "more than" : "at least"} ${issue.minimum}`;
    case "too_big":
      return `${issue.inclusive === false ? "less than" : "at most"} ${issue.maximum}`;
    case "invalid_type":
      return issue.expected === "int" ? "a whole number" : `a ${issue.expected === "string" ? "text" : issue.expected}`;
    case "invalid_value":
      return `one of ${issue.values.join(", ")}`;
    case "invalid_format":
      return `a ${issue.format === "url" ? "URL" : issue.format}`;
    default:
      return issue.message;
  }
};

/** Names the known setting that looks most like a misspelt one. */
const nearest = (word: string, known: readonly string[]): string => {
  let best = "";
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return least <= Math.min(4, Math.max(2, word.length / 4))
    ? `a known setting (did you mean ${best}?)`
    : "a known setting";
};

/** Levenshtein distance, by the two-row form of Wagner and Fischer 1974. */
const editDistance = (left: string, right: string): number => {
  let previous = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
};
