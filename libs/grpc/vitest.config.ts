import { defineConfig, mergeConfig } from "vitest/config";
import { testSources } from "../../vitest.base.ts";

// A busy machine takes long over sockets; no test here is about time.
export default mergeConfig(testSources, defineConfig({ test: { testTimeout: 30_000 } }));
