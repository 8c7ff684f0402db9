import { defineConfig, mergeConfig } from "vitest/config";
import { testSources } from "../../vitest.base.ts";

// Each test starts the command as a process.
export default mergeConfig(testSources, defineConfig({ test: { testTimeout: 60_000, hookTimeout: 60_000 } }));
