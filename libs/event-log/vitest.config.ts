import { defineConfig } from "vitest/config";
import { testSources } from "../../vitest.base.ts";

// Files that start servers and processes take their turn: together they would only slow each other down.
export default defineConfig({ ...testSources, test: { ...testSources.test, fileParallelism: false } });
