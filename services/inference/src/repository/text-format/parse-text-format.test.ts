import { create, equals } from "@bufbuild/protobuf";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { DataType, ModelConfigSchema, ModelInstanceGroup_Kind } from "@millrace/contracts/inference/model_config";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyMessage, toTextFormat } from "../../../test/any-message.ts";
import { parseTextFormat } from "./parse-text-format.ts";
import { TextFormatError } from "./text-format-error.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 2 ** 31);
const parse = (text: string) => parseTextFormat(ModelConfigSchema, "config.pbtxt", text);

test(`any configuration is read from each way to write it (MILLRACE_SEED=${seed})`, () => {
  fc.assert(
    fc.property(anyMessage(ModelConfigSchema), fc.infiniteStream(fc.nat()), (config, choices) => {
      const text = toTextFormat(ModelConfigSchema, config, (ways) => Number(choices.next().value) % ways);
      const read = parse(text);
      // NaN equals itself here, as it does for protobuf.
      expect(equals(ModelConfigSchema, read, config), text).toBe(true);
    }),
    { seed, numRuns: 60 },
  );
});

test(`any text is read or refused with its place (MILLRACE_SEED=${seed})`, () => {
  const pieces = fc.constantFrom(
    ..."{}<>[]:,;-#\"'\\\n .0123xXe".split(""),
    "name",
    "input",
    "dims",
    "inf",
    "dynamic_batching",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      try {
        parse(parts.join(" "));
      } catch (error) {
        expect(error).toBeInstanceOf(TextFormatError);
      }
    }),
    { seed, numRuns: 2000 },
  );
});

test("a configuration as people write them is read", () => {
  const config = parse(`
    # Resnet, from the zoo.
    name: "resnet" ' 50'
    platform: "onnxruntime_onnx"
    max_batch_size: 0x20
    input [
      { name: "data", data_type: TYPE_FP32, format: FORMAT_NCHW, dims: [ 3, 224, -1 ] }
    ]
    output { name: "prob"  data_type: TYPE_FP32  dims: 1000  label_filename: "labels.txt" },
    version_policy: { specific { versions: [1, 3] } };
    instance_group [ { count: 2 kind: KIND_CPU } ]
    dynamic_batching { preferred_batch_size: [ 4, 8 ]  max_queue_delay_microseconds: 100
      priority_queue_policy { key: 1 value: { timeout_action: DELAY } } }
    parameters { key: "intra_op_thread_count" value { string_value: "2" } }
  `);
  const expected = create(ModelConfigSchema, {
    name: "resnet 50",
    platform: "onnxruntime_onnx",
    maxBatchSize: 32,
    input: [{ name: "data", dataType: DataType.TYPE_FP32, format: 2, dims: [3n, 224n, -1n] }],
    output: [{ name: "prob", dataType: DataType.TYPE_FP32, dims: [1000n], labelFilename: "labels.txt" }],
    versionPolicy: { policyChoice: { case: "specific", value: { versions: [1n, 3n] } } },
    instanceGroup: [{ count: 2, kind: ModelInstanceGroup_Kind.CPU }],
    schedulingChoice: {
      case: "dynamicBatching",
      value: {
        preferredBatchSize: [4, 8],
        maxQueueDelayMicroseconds: 100n,
        priorityQueuePolicy: { "1": { timeoutAction: 1 } },
      },
    },
    parameters: { intra_op_thread_count: { stringValue: "2" } },
  });
  expect(equals(ModelConfigSchema, config, expected)).toBe(true);
});

describe("what is wrong is told with line and column", () => {
  test.each([
    ["an unknown field", 'name: "a"\n  max_batch: 3', 2, 3, /a field of ModelConfig \(name, .*got max_batch/],
    ["a field twice", 'name: "a" name: "b"', 1, 11, /name at most once, got name again/],
    ["two members of a oneof", "dynamic_batching {}\nensemble_scheduling {}", 2, 1, /scheduling_choice at most once/],
    ["a word for a number", "max_batch_size: many", 1, 17, /a whole number of 32 bits for max_batch_size, got many/],
    ["a fraction for an integer", "max_batch_size: 1.5", 1, 17, /a whole number/],
    ["an integer out of its range", "max_batch_size: 2147483648", 1, 17, /32 bits for max_batch_size, got 2147483648/],
    ["a negative count", "dynamic_batching { priority_levels: -1 }", 1, 37, /0 or more for priority_levels, got -1/],
    [
      "an unknown member of an enum",
      "input { data_type: TYPE_FLOAT }",
      1,
      20,
      /TYPE_FP32.* for data_type, got TYPE_FLOAT/,
    ],
    ["a text without quotes", "name: resnet", 1, 7, /a text in quotes for name, got resnet/],
    ["a text without its end", 'name: "resnet\n', 1, 14, /" at the end of the text, got a new line/],
    ["an unknown escape", 'name: "a\\q"', 1, 9, /an escape such as/],
    ["a text that is not UTF-8", 'name: "\\377"', 1, 7, /UTF-8 for name/],
    ["a missing colon", 'name "a"', 1, 6, /: after name, got "a"/],
    ["a bracket that is not closed", "input {\n  dims: 3\n", 3, 1, /a field or }, got the end of the file/],
    ["a bracket of the other kind", "input { dims: 3 >", 1, 17, /a field or }, got >/],
    ["a list that is not closed", "input [ { dims: 3 }", 1, 20, /, or \], got the end/],
    ["a list for a single field", "max_batch_size: [3]", 1, 17, /a whole number/],
    ["an extension", "[some.extension]: 3", 1, 1, /a field, got \[/],
    ["a key twice in an entry", 'parameters { key: "a" key: "b" }', 1, 23, /key and value, each once/],
    ["a stray character", "name: @", 1, 7, /got "@"/],
    ["a number and letters", "max_batch_size: 12ab", 1, 17, /a number, got 12a/],
  ])("%s", (_, text, line, column, message) => {
    let error: unknown;
    try {
      parse(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TextFormatError);
    expect(error).toMatchObject({ line, column, message: expect.stringMatching(message) });
  });

  test("messages inside of each other without end", () => {
    const text = 'fields { key: "a" value { struct_value { '.repeat(10_000);
    expect(() => parseTextFormat(StructSchema, "struct", text)).toThrow(/at most 64 messages inside of each other/);
  });
});
