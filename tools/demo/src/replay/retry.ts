import { RpcError } from "@millrace/grpc";
import pRetry from "p-retry";

const transient = new Set(["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "ABORTED"]);

/**
 * Repeats a call that may be repeated while its service is away: for two minutes, then its error is the answer. Only for
 * calls that do nothing twice: reads, waits, and writes under ids of our own.
 */
export const whileAway = <T>(call: () => Promise<T>): Promise<T> =>
  pRetry(call, {
    retries: 240,
    factor: 1,
    minTimeout: 500,
    maxTimeout: 500,
    maxRetryTime: 120_000,
    shouldRetry: ({ error }) => error instanceof RpcError && transient.has(error.code),
  });
