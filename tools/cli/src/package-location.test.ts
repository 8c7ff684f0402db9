import { describe, expect, test } from "vitest";
import { packageLocation, packageReference } from "./package-location.ts";
import { UsageError } from "./usage-error.ts";

const digest = `sha256:${"ab".repeat(32)}`;

describe("a package's name on the command line", () => {
  test.each([
    ["oci:./models/flight_delay:v1", "oci:./models", "flight_delay", "flight_delay:v1", "v1"],
    [`oci:/srv/models/team/flight@${digest}`, "oci:/srv/models/team", "flight", `flight@${digest}`, undefined],
    ["oci:flight:v1", "oci:.", "flight", "flight:v1", "v1"],
    ["oci:/flight:v1", "oci:/", "flight", "flight:v1", "v1"],
    ["oci://registry:5000/team/flight:v1", "oci://registry:5000", "team/flight", "team/flight:v1", "v1"],
    ["oci://host/flight?plainHttp=true", "oci://host?plainHttp=true", "flight", undefined, undefined],
    [`oci://host/flight:v1@${digest}`, "oci://host", "flight", `flight@${digest}`, "v1"],
  ])("%s is a whole URL", (text, storeUrl, repository, reference, tag) => {
    expect(packageLocation(text, "oci:./elsewhere")).toEqual({ storeUrl, repository, reference, tag });
  });

  test("is a name in the store that is given apart", () => {
    const location = { storeUrl: "oci://host/prefix", repository: "a/b", reference: "a/b:v1", tag: "v1" };
    expect(packageLocation("a/b:v1", "oci://host/prefix")).toEqual(location);
  });

  test("is refused where it names no store, no package, or neither tag nor digest", () => {
    expect(() => packageLocation("flight:v1", undefined)).toThrow(/names no store.*MILLRACE_MODEL_STORE_URL/s);
    for (const text of ["", "a:b:c", "flight@sha256:12", "oci://host", "oci://host/", "oci:"]) {
      expect(() => packageLocation(text, "oci:./models"), text).toThrow(UsageError);
    }
    expect(() => packageReference("flight", "oci:./models")).toThrow(/expected a tag .* or a digest/);
  });
});
