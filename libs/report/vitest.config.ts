import { defineConfig } from "vitest/config";
import { testSources } from "../../vitest.base.ts";

export default defineConfig(testSources);
