import { defineConfig, mergeConfig } from "vitest/config";
import { testSources } from "../../vitest.base.ts";

// Tests start the service, and train.
export default mergeConfig(testSources, defineConfig({ test: { testTimeout: 120_000, hookTimeout: 60_000 } }));
