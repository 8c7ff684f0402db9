import { currentCall } from "@millrace/grpc";
import { type LevelWithSilent, type Logger, pino } from "pino";

/**
 * The log of a service: one JSON object a line on standard output, with the trace id of the call that is answered.
 *
 * Lines go through `process.stdout`, not through pino's own destination: that one, when the reader of the log is gone,
 * tries the same line again for ever and blocks the process. Here such lines are lost, and the service goes on.
 */
export const openLog = (service: string, level: LevelWithSilent): Logger => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      throw error;
    }
  });
  const options = {
    level,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    mixin: () => {
      const traceId = currentCall()?.traceId;
      return traceId === undefined ? {} : { traceId };
    },
  };
  return pino(options, { write: (line: string) => process.stdout.write(line) });
};
