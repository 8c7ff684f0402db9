import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SystemSharedMemory } from "../shared-memory/system-shared-memory.ts";
import { inRegion, knownShape } from "./request-tensors.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-regions-"));
const memory = new SystemSharedMemory(folder);

beforeAll(() => {
  writeFileSync(join(folder, "a"), new Uint8Array(32));
  memory.register({ name: "region", key: "a", offset: 0, byteSize: 32 });
});

afterAll(() => {
  memory.close();
  rmSync(folder, { recursive: true });
});

const at = (byteSize: number) => ({ region: "region", offset: 0, byteSize });

test("a tensor in shared memory has as many bytes as its shape says, which is seen before any is read", () => {
  const head = { name: "x", datatype: "FP32" as const, shape: [2, 3] };
  expect(inRegion(head, at(24), memory).data.byteLength).toBe(24);
  expect(() => inRegion(head, at(32), memory)).toThrow(
    "x.parameters.shared_memory_byte_size: expected 24 bytes (FP32 [2, 3]), got 32",
  );
  // A size that no region has: had it been looked for, the error would name the region.
  expect(() => inRegion(head, at(2 ** 40), memory)).toThrow("expected 24 bytes (FP32 [2, 3])");
  expect(inRegion({ ...head, datatype: "BYTES" }, at(32), memory).data.byteLength).toBe(32);
});

test("a shape has no more dimensions than can be walked", () => {
  expect(knownShape("x", Array(256).fill(1))).toHaveLength(256);
  expect(() => knownShape("x", Array(20_000).fill(1))).toThrow("x.shape: expected at most 256 dimensions, got 20000");
});
