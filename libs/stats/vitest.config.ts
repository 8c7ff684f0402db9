import { defineConfig } from "vitest/config";

const conditions = ["@millrace/source", "module", "node"];

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export.
export default defineConfig({ resolve: { conditions }, ssr: { resolve: { conditions } } });
