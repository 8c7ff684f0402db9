import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "@millrace/contracts/google/rpc/error_details";
import { StatusSchema } from "@millrace/contracts/google/rpc/status";
import { type FieldViolation, MillraceError } from "@millrace/errors";
import { statusNumber } from "./status-code.ts";

/** The domain of every `google.rpc.ErrorInfo` that millrace sends. */
export const errorDomain = "millrace";

/** What goes on the wire in place of an answer. */
export interface GrpcStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

// Receivers limit all headers together, some to 8 KiB. Three KiB of details are four KiB in base64.
const maxDetailsBytes = 3072;
const maxMessageBytes = 1024;
const maxPartBytes = 256;

/**
 * The one place that makes a gRPC status of an error.
 *
 * A MillraceError keeps its code and message, and its details travel as google.rpc messages. Anything else is INTERNAL
 * with the trace id and nothing of the error's own text. Details that would not fit are shortened: violations are left
 * out from the end, and the metadata `violationsOmitted` says how many.
 */
export const statusFromError = (error: unknown, traceId: string | undefined): GrpcStatus => {
  if (!(error instanceof MillraceError)) {
    const text = `Internal error.${traceId === undefined ? "" : ` The log of the service has its cause under trace id ${traceId}.`}`;
    const metadata: Record<string, string> = traceId === undefined ? {} : { traceId };
    return encode("INTERNAL", text, [pack(ErrorInfoSchema, { reason: "INTERNAL", domain: errorDomain, metadata })]);
  }
  const { code, details } = error;
  const reason = error.reasonName;
  const message = shorten(error.message, maxMessageBytes);
  const fixed: Any[] = [];
  if (details.retryAfterMs !== undefined) {
    const ms = Math.max(0, Math.round(details.retryAfterMs));
    fixed.push(
      pack(RetryInfoSchema, {
        retryDelay: { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 },
      }),
    );
  }
  if (details.resource !== undefined) {
    const { kind, name } = details.resource;
    fixed.push(
      pack(ResourceInfoSchema, {
        resourceType: shorten(kind, maxPartBytes),
        resourceName: shorten(name, maxPartBytes),
        description: "",
      }),
    );
  }
  const metadata = limitMetadata(details.metadata ?? {});
  if (error.code === "INTERNAL" && traceId !== undefined) {
    metadata.traceId = traceId;
  }
  const violations = details.violations ?? [];
  for (let kept = violations.length; ; kept = Math.floor(kept / 2)) {
    const omitted = violations.length - kept;
    const info = pack(ErrorInfoSchema, {
      reason,
      domain: errorDomain,
      metadata: omitted === 0 ? metadata : { ...metadata, violationsOmitted: String(omitted) },
    });
    const parts = [info, ...packViolations(code, reason, violations.slice(0, kept)), ...fixed];
    const status = encode(code, message, parts);
    if (kept === 0 || encodedBytes(status) <= maxDetailsBytes) {
      return status;
    }
  }
};

const packViolations = (code: string, reason: string, violations: readonly FieldViolation[]): Any[] => {
  if (violations.length === 0) {
    return [];
  }
  if (code === "FAILED_PRECONDITION") {
    return [
      pack(PreconditionFailureSchema, {
        violations: violations.map((violation) => ({
          type: reason,
          subject: shorten(violation.field, maxPartBytes),
          description: describeViolation(violation),
        })),
      }),
    ];
  }
  return [
    pack(BadRequestSchema, {
      fieldViolations: violations.map((violation) => ({
        field: shorten(violation.field, maxPartBytes),
        description: describeViolation(violation),
        reason,
      })),
    }),
  ];
};

const describeViolation = ({ expected, got }: FieldViolation): string =>
  `expected ${shorten(expected, maxPartBytes)}, got ${shorten(got, maxPartBytes)}`;

/** Reads back what `describeViolation` wrote. A description of another service is kept whole as `expected`. */
export const parseViolation = (field: string, description: string): FieldViolation => {
  const parts = /^expected (.*?), got (.*)$/s.exec(description);
  return { field, expected: parts?.[1] ?? description, got: parts?.[2] ?? "" };
};

const limitMetadata = (metadata: Readonly<Record<string, string>>): Record<string, string> => {
  const limited: Record<string, string> = {};
  let bytes = 0;
  for (const [key, value] of Object.entries(metadata)) {
    const short = shorten(value, maxPartBytes);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(short) + 8;
    if (bytes > 1024) {
      break;
    }
    limited[key] = short;
  }
  return limited;
};

const pack = <D extends DescMessage>(schema: D, init: MessageInitShape<D>): Any =>
  anyPack(schema, create(schema, init));

const encode = (code: MillraceError["code"], message: string, details: Any[]): GrpcStatus => {
  const number = statusNumber(code);
  const short = shorten(message, maxPartBytes);
  const bytes = toBinary(StatusSchema, create(StatusSchema, { code: number, message: short, details }));
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return { code: number, details: message, metadata };
};

const encodedBytes = (status: GrpcStatus): number => {
  const value = status.metadata.get("grpc-status-details-bin")[0];
  return value === undefined ? 0 : value.length;
};

/** Cuts a text to so many UTF-8 bytes, between characters. A lone surrogate would make the status unsendable. */
const shorten = (text: string, maxBytes: number): string => {
  const whole = text.toWellFormed();
  if (whole.length * 3 <= maxBytes || Buffer.byteLength(whole) <= maxBytes) {
    return whole;
  }
  const cut = new TextDecoder().decode(Buffer.from(whole).subarray(0, maxBytes - 3), { stream: true });
  return `${cut}…`;
};
