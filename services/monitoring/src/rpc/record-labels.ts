import { toBinary } from "@bufbuild/protobuf";
import { LabelSchema } from "@millrace/contracts/millrace/event/v1/event";
import type { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";
import type { Unary } from "@millrace/grpc";
import type { MonitoringRooms } from "../monitoring-rooms.ts";

/** Thrown when labels of a call cannot be joined: all of them are named, none is written. */
export class LabelsInvalidError extends MillraceError {
  constructor(violations: readonly FieldViolation[]) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `${violations.length} labels cannot be recorded.`, { violations });
  }
}

/** Appends labels to the label topic, keyed by the prediction's id. */
export const recordLabels =
  ({ log, labelTopic }: MonitoringRooms): Unary<typeof MonitoringService.method.recordLabels> =>
  async ({ labels }) => {
    const violations = labels.flatMap(({ predictionId, value }, index): FieldViolation[] => [
      ...(predictionId === "" ? [{ field: `labels[${index}].prediction_id`, expected: "an id", got: "none" }] : []),
      ...(Number.isFinite(value)
        ? []
        : [{ field: `labels[${index}].value`, expected: "a finite number", got: String(value) }]),
    ]);
    if (violations.length > 0) throw new LabelsInvalidError(violations);
    await log.append(
      labelTopic,
      labels.map((label) => ({
        key: new TextEncoder().encode(label.predictionId),
        value: toBinary(LabelSchema, label),
        headers: {
          ce_id: label.predictionId,
          ce_type: "io.millrace.label.v1",
          ce_source: "millrace/monitoring",
          ce_specversion: "1.0",
        },
      })),
    );
    return { labels: BigInt(labels.length) };
  };
