import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import type { Metadata } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "@millrace/contracts/google/rpc/error_details";
import { StatusSchema } from "@millrace/contracts/google/rpc/status";
import type { FieldViolation } from "@millrace/errors";
import { type StatusName, statusName } from "./status-code.ts";
import { parseViolation } from "./status-from-error.ts";

/** Thrown by every client call that fails. */
export class RpcError extends Error {
  /** The gRPC status by name. */
  readonly code: StatusName;
  /** The stable word of the reason, such as `FEATURE_UNKNOWN`; the code where the server gave none. */
  readonly reason: string;
  /** The method that was called, such as `millrace.feature.v1.FeatureService/GetFeatures`. */
  readonly method: string;
  /** Every field that broke a rule. */
  readonly violations: readonly FieldViolation[];
  /** Short facts for a program, from `google.rpc.ErrorInfo`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** When trying again makes sense, where the server said so. */
  readonly retryAfterMs: number | undefined;
  /** What could not be found or does not fit, where the server said so. */
  readonly resource: { readonly kind: string; readonly name: string } | undefined;

  constructor(fields: {
    code: StatusName;
    message: string;
    method: string;
    reason?: string;
    violations?: readonly FieldViolation[];
    metadata?: Readonly<Record<string, string>>;
    retryAfterMs?: number | undefined;
    resource?: { readonly kind: string; readonly name: string } | undefined;
    cause?: unknown;
  }) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = "RpcError";
    this.code = fields.code;
    this.method = fields.method;
    this.reason = fields.reason ?? fields.code;
    this.violations = fields.violations ?? [];
    this.metadata = fields.metadata ?? {};
    this.retryAfterMs = fields.retryAfterMs;
    this.resource = fields.resource;
  }
}

/** Makes an RpcError of the status that ended a call. Details that cannot be read are left out. */
export const rpcErrorFromStatus = (
  method: string,
  status: { readonly code: number; readonly details: string; readonly metadata?: Metadata | undefined },
): RpcError => {
  let reason: string | undefined;
  let metadata: Record<string, string> = {};
  let retryAfterMs: number | undefined;
  let resource: { kind: string; name: string } | undefined;
  const violations: FieldViolation[] = [];
  for (const detail of detailsOf(status.metadata)) {
    const info = anyUnpack(detail, ErrorInfoSchema);
    if (info !== undefined) {
      reason = info.reason;
      metadata = { ...info.metadata };
    }
    for (const { field, description } of anyUnpack(detail, BadRequestSchema)?.fieldViolations ?? []) {
      violations.push(parseViolation(field, description));
    }
    for (const { subject, description } of anyUnpack(detail, PreconditionFailureSchema)?.violations ?? []) {
      violations.push(parseViolation(subject, description));
    }
    const retry = anyUnpack(detail, RetryInfoSchema)?.retryDelay;
    if (retry !== undefined) {
      retryAfterMs = Number(retry.seconds) * 1000 + retry.nanos / 1_000_000;
    }
    const found = anyUnpack(detail, ResourceInfoSchema);
    if (found !== undefined) {
      resource = { kind: found.resourceType, name: found.resourceName };
    }
  }
  const code = statusName(status.code);
  return new RpcError({
    code,
    message: status.details,
    method,
    reason: reason ?? code,
    violations,
    metadata,
    retryAfterMs,
    resource,
  });
};

const detailsOf = (metadata: Metadata | undefined) => {
  const bytes = metadata?.get("grpc-status-details-bin")[0];
  if (bytes === undefined || typeof bytes === "string") {
    return [];
  }
  try {
    return fromBinary(StatusSchema, new Uint8Array(bytes)).details;
  } catch {
    // The details are an extra: a peer that garbles them must not hide the status itself.
    return [];
  }
};
