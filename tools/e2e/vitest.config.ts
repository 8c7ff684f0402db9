import { defineConfig, mergeConfig } from "vitest/config";
import { testSources } from "../../vitest.base.ts";

export default mergeConfig(
  testSources,
  defineConfig({ test: { include: ["test/**/*.test.ts"], testTimeout: 60_000 } }),
);
