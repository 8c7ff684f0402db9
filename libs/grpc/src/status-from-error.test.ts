import { type FieldViolation, MillraceError, Reason } from "@millrace/errors";
import { describe, expect, test } from "vitest";
import { rpcErrorFromStatus } from "./rpc-error.ts";
import { statusFromError } from "./status-from-error.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const roundTrip = (error: unknown) => rpcErrorFromStatus("a.B/C", statusFromError(error, traceId));
const detailBytes = (error: unknown): number =>
  statusFromError(error, traceId).metadata.get("grpc-status-details-bin")[0]?.length ?? 0;

describe("the status of a domain error", () => {
  test("carries violations as BadRequest, and as PreconditionFailure where a precondition failed", () => {
    const violations = [
      { field: "spec.epochs", expected: "at least 1", got: "0" },
      { field: "", expected: "a, got b", got: "x, got y" },
    ];
    for (const code of ["INVALID_ARGUMENT", "FAILED_PRECONDITION"] as const) {
      const error = roundTrip(new MillraceError(code, Reason.TRAINING_SPEC_INVALID, "No.", { violations }));
      expect(error).toMatchObject({ code, reason: "TRAINING_SPEC_INVALID", message: "No." });
      expect(error.violations[0]).toEqual(violations[0]);
      expect(error.violations).toHaveLength(2);
    }
  });

  test("fits 4 KiB in base64 however much there is to say, and says how much it left out", () => {
    const violations: FieldViolation[] = Array.from({ length: 500 }, (_, at) => ({
      field: `columns[${at}].${"long".repeat(100)}`,
      expected: "é".repeat(1000),
      got: "x".repeat(1000),
    }));
    const error = new MillraceError("INVALID_ARGUMENT", Reason.FIELD_INVALID, "ü".repeat(5000), {
      violations,
      metadata: Object.fromEntries(violations.map(({ field, got }) => [field, got])),
      resource: { kind: "k".repeat(2000), name: "n".repeat(2000) },
      retryAfterMs: 10,
    });
    expect(Math.ceil(detailBytes(error) / 3) * 4).toBeLessThanOrEqual(4096);
    const seen = roundTrip(error);
    expect(seen.violations.length).toBeGreaterThan(0);
    expect(Number(seen.metadata.violationsOmitted)).toBe(500 - seen.violations.length);
    expect(Buffer.byteLength(seen.message)).toBeLessThanOrEqual(1024);
    expect(seen.retryAfterMs).toBe(10);
  });

  test("can be sent when its text holds half a character", () => {
    const status = statusFromError(new MillraceError("NOT_FOUND", Reason.RUN_UNKNOWN, "no run \ud800"), traceId);
    expect(() => encodeURI(status.details)).not.toThrow();
  });
});

describe("the status of any other error", () => {
  test("is INTERNAL with the trace id and none of its words", () => {
    for (const thrown of [new TypeError("password=hush"), "hush", undefined, { code: 5, details: "hush" }]) {
      const error = roundTrip(thrown);
      expect(error).toMatchObject({ code: "INTERNAL", reason: "INTERNAL", metadata: { traceId } });
      expect(error.message).toContain(traceId);
      expect(JSON.stringify(error) + error.message).not.toContain("hush");
    }
  });

  test("keeps a cause in the service", () => {
    const error = new MillraceError("UNAVAILABLE", Reason.STORE_UNAVAILABLE, "The store is away.", {
      cause: new Error("ECONNREFUSED redis:6379"),
    });
    expect(statusFromError(error, traceId).metadata.get("grpc-status-details-bin")[0]?.toString()).not.toContain(
      "6379",
    );
  });
});

describe("a status of another server", () => {
  test("is read without details, and with details that are no protobuf", () => {
    const status = statusFromError(new MillraceError("NOT_FOUND", Reason.RUN_UNKNOWN, "x"), traceId);
    status.metadata.set("grpc-status-details-bin", Buffer.from([255, 255, 255]));
    expect(rpcErrorFromStatus("a.B/C", { code: 99, details: "odd" })).toMatchObject({
      code: "UNKNOWN",
      reason: "UNKNOWN",
    });
    expect(rpcErrorFromStatus("a.B/C", status)).toMatchObject({ code: "NOT_FOUND", reason: "NOT_FOUND", message: "x" });
  });
});
