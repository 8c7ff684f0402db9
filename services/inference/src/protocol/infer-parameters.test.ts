import { describe, expect, test } from "vitest";
import { type ParameterValue, readParameters, regionPlace } from "./infer-parameters.ts";

const of = (values: Record<string, ParameterValue>) =>
  Object.fromEntries(Object.entries(values).map(([name, parameterChoice]) => [name, { parameterChoice }]));
const int = (value: bigint): ParameterValue => ({ case: "int64Param", value });
const uint = (value: bigint): ParameterValue => ({ case: "uint64Param", value });
const text = (value: string): ParameterValue => ({ case: "stringParam", value });
const bool: ParameterValue = { case: "boolParam", value: true };

describe("the parameters of a request", () => {
  test("say its priority, its time in the queue and its trace", () => {
    const parameters = of({ priority: uint(2n), timeout: int(1500n), traceparent: text("00-a"), mine: bool });
    expect(readParameters({ parameters, outputs: [] })).toEqual({
      priority: 2,
      queueTimeoutMs: 1.5,
      traceparent: "00-a",
      outputs: [],
    });
  });

  test("of 0 mean the default, as if they were not there", () => {
    const none = { priority: undefined, queueTimeoutMs: undefined, traceparent: undefined, outputs: [] };
    expect(readParameters({ parameters: of({ priority: int(0n), timeout: uint(0n) }), outputs: [] })).toEqual(none);
    expect(readParameters({ parameters: {}, outputs: [] })).toEqual(none);
  });

  test.each([
    ["priority", text("1"), /expected int64_param or uint64_param, got string_param/],
    ["priority", int(-1n), /expected a level, 0 or more, got -1/],
    ["timeout", uint(2n ** 64n - 1n), /expected microseconds, 0 or more, got 18446744073709551615/],
    ["timeout", { case: undefined } as ParameterValue, /got no value/],
    ["sequence_start", int(1n), /expected bool_param, got int64_param/],
    ["traceparent", bool, /expected string_param/],
    ["triton_anything", bool, /the prefix triton_ is reserved/],
  ])("are refused where %s is %o", (name, value, message) => {
    expect(() => readParameters({ parameters: of({ [name]: value }), outputs: [] })).toThrow(message);
  });

  test("that are named like what every object has are the caller's own", () => {
    const parameters = of({ toString: bool, constructor: bool });
    expect(readParameters({ parameters, outputs: [] }).priority).toBeUndefined();
  });
});

describe("the parameters of a tensor", () => {
  const place = { shared_memory_region: text("a"), shared_memory_byte_size: int(8n) };

  test("say its classes, or its place in shared memory", () => {
    const outputs = [
      { name: "y", parameters: of({ classification: int(3n) }) },
      { name: "z", parameters: of({ ...place, shared_memory_offset: int(4n) }) },
      { name: "w", parameters: {} },
    ];
    expect(readParameters({ parameters: {}, outputs }).outputs).toEqual([
      { name: "y", classes: 3, place: undefined },
      { name: "z", classes: undefined, place: { region: "a", offset: 4, byteSize: 8 } },
      { name: "w", classes: undefined, place: undefined },
    ]);
  });

  test.each([
    [{ shared_memory_region: bool }, /z.parameters.shared_memory_region: expected string_param/],
    [{ shared_memory_region: text("a") }, /z.parameters.shared_memory_byte_size: expected bytes, 0 or more, got none/],
    [
      { ...place, shared_memory_offset: int(-1n) },
      /z.parameters.shared_memory_offset: expected bytes, 0 or more, got -1/,
    ],
    [{ shared_memory_offset: int(1n) }, /z.parameters.shared_memory_offset: expected shared_memory_region beside it/],
  ])("are refused where they are %o", (values, message) => {
    expect(() => regionPlace({ name: "z", parameters: of(values) })).toThrow(message);
  });

  test("cannot ask for classes in shared memory", () => {
    const outputs = [{ name: "y", parameters: of({ ...place, classification: int(1n) }) }];
    expect(() => readParameters({ parameters: {}, outputs })).toThrow(/y.parameters.classification/);
  });
});
