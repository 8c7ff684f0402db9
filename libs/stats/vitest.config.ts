import { defineConfig } from "vitest/config";

const conditions = ["@millrace/source", "module", "node"];

export default defineConfig({ resolve: { conditions }, ssr: { resolve: { conditions } } });
