import type { Server } from "@grpc/grpc-js";

/** How many streams a peer may reset: at once, and then each second. */
export interface ResetLimits {
  readonly streamResetBurst: number;
  readonly streamResetRate: number;
}

/** Enough for one connection on which ten thousand calls a second expire. */
export const defaultResetLimits: ResetLimits = { streamResetBurst: 100_000, streamResetRate: 10_000 };

/**
 * Raises the limit at which Node closes a whole HTTP/2 connection because its peer reset many streams. Each expired
 * deadline and each cancelled call is such a reset, and with Node's own limit (about 1,000 in a burst, 33 a second)
 * healthy calls on the same connection fail. Node means the limit against the rapid-reset attack (CVE-2023-44487); the
 * cap on concurrent streams stays.
 *
 * grpc-js has no option for it: this sets the options object that it hands to `http2.createServer`. Call it before bind.
 * @throws Error where grpc-js no longer keeps its options there.
 */
export const raiseResetLimits = (server: Server, limits: ResetLimits): void => {
  const holder = server as unknown as { readonly commonServerOptions?: Record<string, unknown> };
  if (typeof holder.commonServerOptions !== "object") {
    throw new Error(
      "This version of @grpc/grpc-js keeps its HTTP/2 options elsewhere: the reset limits cannot be set.",
    );
  }
  Object.assign(holder.commonServerOptions, limits);
};
