import { join } from "node:path";
import type { ViteUserConfig } from "vitest/config";

// Vite resolves the packages of the workspace by itself, and reads no NODE_OPTIONS.
const conditions = ["@millrace/source", "module", "node", "development|production"];

/**
 * What every package's tests have in common: packages are taken from their sources, and a machine that does other work
 * beside is no failure. A test that hangs still ends.
 */
export const testSources: ViteUserConfig = {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Services that tests start need not strip and compile the same sources each time: a third of their start.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, ".nx/compile-cache") },
  },
};
