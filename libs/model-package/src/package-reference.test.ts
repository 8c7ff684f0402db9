import { describe, expect, test } from "vitest";
import { formatPackageReference, parsePackageReference } from "./package-reference.ts";
import { ReferenceInvalidError } from "./reference-invalid-error.ts";

const digest = `sha256:${"ab".repeat(32)}`;
const parse = (text: string) => parsePackageReference(text, "oci://host:5000/team");

describe("a package reference", () => {
  test("has a repository and a tag or a digest", () => {
    expect(parse("flight_delay:v1.2-rc")).toEqual({ repository: "flight_delay", tag: "v1.2-rc" });
    expect(parse(`a/b-c.d__e@${digest}`)).toEqual({ repository: "a/b-c.d__e", digest });
  });

  test("means the digest where it has both", () => {
    expect(parse(`flight_delay:v1@${digest}`)).toEqual({ repository: "flight_delay", digest });
  });

  test("may stand behind the store's own URL, whatever its query", () => {
    expect(parse("oci://host:5000/team/flight_delay:v1?plainHttp=true")).toEqual({
      repository: "flight_delay",
      tag: "v1",
    });
    expect(() => parse("oci://host:5000/teams/flight_delay:v1")).toThrow(ReferenceInvalidError);
  });

  test("is written as it is read", () => {
    for (const text of ["flight_delay:v1", `flight_delay@${digest}`]) {
      expect(formatPackageReference(parse(text))).toBe(text);
    }
  });

  test("is refused where it is malformed", () => {
    const malformed = [
      "",
      ":v1",
      "A:v1",
      "a b:v1",
      "a:-v",
      "a:",
      `a:sha256-${"0".repeat(64)}`,
      `a@${digest}@x`,
      "a@sha256:AB",
      "a//b:1",
      "../a:1",
      "a/blobs:1",
      "x/index.json:1",
    ];
    for (const text of malformed) {
      expect(() => parse(text), text).toThrow(ReferenceInvalidError);
    }
  });
});
