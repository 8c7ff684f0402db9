import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { describe, expect, test } from "vitest";
import { checkSchema } from "./check-schema.ts";
import { samplePackage } from "./sample-package.fixture.ts";
import { SchemaMismatchError } from "./schema-mismatch-error.ts";

const { features } = samplePackage().manifest;
const distance = { name: "flights__distance", type: ValueType.DOUBLE };
const state = { name: "airports__state", type: ValueType.STRING };

describe("the schema check of a package", () => {
  test("passes where every feature is served with its type, in any order, among others", () => {
    checkSchema(features, [{ name: "more__fields", type: ValueType.BOOL }, state, distance]);
  });

  test("passes for a model that reads no features", () => {
    checkSchema(undefined, []);
  });

  test("names each feature that is missing or has another type", () => {
    const check = () => checkSchema(features, [{ ...distance, type: ValueType.INT64 }]);
    expect(check).toThrow(SchemaMismatchError);
    expect(check).toThrow(/flight_delay: flights__distance: expected type DOUBLE, got type INT64; airports__state: /);
  });
});
