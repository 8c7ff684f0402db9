import { defineConfig } from "vitest/config";

// Vite resolves packages by itself, and reads no NODE_OPTIONS.
const conditions = ["@millrace/source", "module", "node", "development|production"];

// A busy machine takes long over sockets; no test here is about time.
const test = { testTimeout: 30_000 };

export default defineConfig({ resolve: { conditions }, ssr: { resolve: { conditions } }, test });
