export { KeyInvalidError } from "./key-invalid-error.ts";
export type { ConditionalWrite, Kv, Versioned } from "./kv.ts";
export { openKv } from "./open-kv.ts";
export { StoreUnavailableError } from "./store-unavailable-error.ts";
export { StoreUnsuitableError } from "./store-unsuitable-error.ts";
export { StoreUrlInvalidError } from "./store-url-invalid-error.ts";
