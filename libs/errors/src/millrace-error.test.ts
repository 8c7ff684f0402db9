import { describe, expect, test } from "vitest";
import { MillraceError, Reason, reasonName } from "./index.ts";

class RunUnknownError extends MillraceError {
  constructor(cause?: unknown) {
    super("NOT_FOUND", Reason.RUN_UNKNOWN, "No run a.", { resource: { kind: "run", name: "a" }, cause });
  }
}

describe("a domain error", () => {
  test("has the name of its class, the word of its reason, and its details", () => {
    const error = new RunUnknownError();
    expect(error).toMatchObject({ name: "RunUnknownError", code: "NOT_FOUND", reasonName: "RUN_UNKNOWN" });
    expect(error.details.resource).toEqual({ kind: "run", name: "a" });
    expect("cause" in error).toBe(false);
  });

  test("keeps the cause that lies underneath", () => {
    const cause = new TypeError("below");
    expect(new RunUnknownError(cause).cause).toBe(cause);
  });
});

describe("the word of a reason", () => {
  test("is known for every reason, and UNSPECIFIED for a number of a newer contract", () => {
    for (const [name, reason] of Object.entries(Reason)) {
      expect(reasonName(reason)).toBe(name);
    }
    expect(reasonName(9999 as Reason)).toBe("UNSPECIFIED");
  });
});
