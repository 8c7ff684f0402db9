import { defineConfig, mergeConfig } from "vitest/config";
import { testSources } from "../../vitest.base.ts";

// It installs a few hundred MB of Python: a target of its own.
export default mergeConfig(
  testSources,
  defineConfig({ test: { include: ["test/mlflow/*.peer.ts"], testTimeout: 300_000, hookTimeout: 600_000 } }),
);
