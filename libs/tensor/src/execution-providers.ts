import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { listSupportedBackends } from "onnxruntime-node";
import { type ExecutionProviderName, executionProviderNames } from "./execution-provider-name.ts";
import { ModelInvalidError } from "./model-invalid-error.ts";

/** @throws ModelInvalidError naming what is no execution provider, or that there is none. */
export const checkExecutionProviders = (names: readonly string[]): readonly ExecutionProviderName[] => {
  const known: readonly string[] = executionProviderNames;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined || names.length === 0) {
    throw new ModelInvalidError(
      `execution_providers: expected one or several of ${executionProviderNames.join(", ")}, got ${unknown ?? "none"}.`,
    );
  }
  return names as readonly ExecutionProviderName[];
};

/** Why this installation cannot have a provider; undefined where it may. Whether a device is there only a trial tells. */
export const whyNotInstalled = (name: ExecutionProviderName): string | undefined => {
  const backend = listSupportedBackends().find((supported) => supported.name === name);
  if (backend === undefined) return `onnxruntime has none for ${process.platform} on ${process.arch}`;
  // Without its file the runtime fails as well, but writes a page to standard error first.
  const file = `libonnxruntime_providers_${name}.so`;
  const missing = !backend.bundled && process.platform === "linux" && !existsSync(join(binaries(), file));
  return missing ? `its file ${file} is not installed` : undefined;
};

const binaries = (): string => {
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(entry), "..", "bin", "napi-v6", process.platform, process.arch);
};

/** What became of one that was asked for and is not taken. */
export interface SkippedProvider {
  readonly name: ExecutionProviderName;
  readonly why: string;
}

/** Why a model runs where it runs, as a sentence's end. */
export const providerReason = (skipped: readonly SkippedProvider[], asked: readonly string[]): string => {
  if (skipped.length > 0) {
    return skipped
      .map(
        ({ name, why }, index) =>
          `${name} was asked for ${index === 0 ? "first" : "next"} and is not available: ${why}`,
      )
      .join("; ");
  }
  return asked.length > 1 ? "it was asked for first, and is there" : "it was asked for";
};
