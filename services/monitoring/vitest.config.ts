import { defineConfig } from "vitest/config";

// Vite resolves packages by itself, and reads no NODE_OPTIONS.
const conditions = ["@millrace/source", "module", "node", "development|production"];

export default defineConfig({ resolve: { conditions }, ssr: { resolve: { conditions } } });
