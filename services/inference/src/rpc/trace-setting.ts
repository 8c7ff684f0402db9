import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import type { ModelRoster } from "../serving/model-roster.ts";

/** How this process traces its calls. */
export interface Tracing {
  /** Where spans are sent; undefined where none are. */
  readonly endpoint: string | undefined;
  /** Share of the traces begun here that is recorded, 0 to 1. */
  readonly sampleRatio: number;
}

/**
 * Says how calls are traced, in the words of the protocol. Spans go to an OpenTelemetry collector, as the service was
 * started: a call changes nothing of it, for the server as for one model.
 * @throws ModelUnknownError, ModelNotReadyError; MillraceError for a change.
 */
export const traceSetting =
  (roster: ModelRoster, tracing: Tracing): Unary<typeof GRPCInferenceService.method.traceSetting> =>
  async ({ modelName, settings }) => {
    if (modelName !== "") roster.find(modelName, "");
    const [changed] = Object.keys(settings);
    if (changed !== undefined) {
      throw new MillraceError(
        "UNIMPLEMENTED",
        Reason.UNIMPLEMENTED,
        `${changed}: trace settings are not changed by call${modelName === "" ? "" : `, nor for one model (${modelName})`}; the settings otlpEndpoint and traceSampleRatio have them from the start.`,
        { violations: [{ field: `settings.${changed}`, expected: "no change", got: "one" }] },
      );
    }
    const { endpoint, sampleRatio } = tracing;
    const on = endpoint !== undefined && sampleRatio > 0;
    const values = {
      trace_level: on ? "TIMESTAMPS" : "OFF",
      // One call in so many is traced.
      trace_rate: on ? String(Math.max(1, Math.round(1 / sampleRatio))) : "0",
      trace_count: "-1",
      log_frequency: "0",
      trace_file: "",
      trace_mode: "opentelemetry",
    };
    return { settings: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value: [value] }])) };
  };
