export type { ConditionalWrite, Kv, Versioned } from "./kv.ts";
