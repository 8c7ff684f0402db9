import type { MillraceErrorCode } from "@millrace/errors";

/** The name of a gRPC status other than OK. */
export type StatusName = MillraceErrorCode | "UNKNOWN";

const numbers: Readonly<Record<StatusName, number>> = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
};

const names = new Map<number, StatusName>(
  (Object.keys(numbers) as StatusName[]).map((name) => [numbers[name], name] as const),
);

/** The number of a status name, as it travels in `grpc-status`. */
export const statusNumber = (name: StatusName): number => numbers[name];

/** The name of a status number; an unknown number is UNKNOWN, as the gRPC specification asks. */
export const statusName = (code: number): StatusName => names.get(code) ?? "UNKNOWN";
