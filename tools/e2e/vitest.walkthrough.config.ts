import { defineConfig, mergeConfig } from "vitest/config";
import { testSources } from "../../vitest.base.ts";

// Minutes each: a target of its own, so that the quick tests stay quick.
export default mergeConfig(
  testSources,
  defineConfig({ test: { include: ["test/**/*.e2e.ts"], testTimeout: 900_000, hookTimeout: 120_000 } }),
);
