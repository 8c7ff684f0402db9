import { expect, test } from "vitest";
import { RunTimeEstimate } from "./run-time-estimate.ts";

test("nothing is said before anything was measured", () => {
  const estimate = new RunTimeEstimate();
  expect(estimate.runMs(1, 0)).toBeUndefined();
  expect(estimate.workMs(100, 8, 2, 0)).toBeUndefined();
});

test("a run of more rows takes no longer than several of fewer, and one of fewer its share where only larger were seen", () => {
  const estimate = new RunTimeEstimate();
  estimate.ran(4, 8, 0);
  expect(estimate.runMs(16, 0)).toBe(32);
  expect(estimate.runMs(1, 0)).toBe(2);
  estimate.ran(16, 10, 0);
  expect(estimate.runMs(16, 0)).toBe(10);
});

test("work is full batches, spread over the instances, and a last one", () => {
  const estimate = new RunTimeEstimate();
  estimate.ran(8, 10, 0);
  estimate.ran(1, 2, 0);
  expect(estimate.workMs(33, 8, 1, 0)).toBe(42);
  expect(estimate.workMs(33, 8, 2, 0)).toBe(22);
  expect(estimate.workMs(8, 8, 2, 0)).toBe(10);
});

test("rows that were never run together are taken to cost no more than fewer of them", () => {
  const estimate = new RunTimeEstimate();
  for (let run = 0; run < 5; run++) estimate.ran(1, 10, 0);
  expect(estimate.workMs(64, 128, 1, 0)).toBe(10);
  expect(estimate.workMs(256, 128, 1, 0)).toBe(20);
  // Until it is seen what a row costs when there are many.
  for (let batch = 0; batch < 20; batch++) estimate.worked(64, 640, 0);
  expect(estimate.workMs(64, 128, 1, 0)).toBeCloseTo(640);
});

test("a slow phase is forgotten with time, and with the runs after it", () => {
  const estimate = new RunTimeEstimate();
  for (let run = 0; run < 20; run++) estimate.ran(1, 1000, 0);
  expect(estimate.runMs(1, 0)).toBe(1000);
  expect(estimate.runMs(1, 20_000)).toBeLessThan(1);
  for (let run = 0; run < 20; run++) estimate.ran(1, 1, 0);
  expect(estimate.runMs(1, 0)).toBeLessThan(5);
});

test("what was measured long before the latest runs does not count beside them", () => {
  const estimate = new RunTimeEstimate();
  estimate.ran(1, 1, 0);
  estimate.ran(8, 80, 10_000);
  expect(estimate.runMs(8, 10_000)).toBe(80);
  expect(estimate.runMs(16, 10_000)).toBe(160);
});

test("under a backlog the time of a row is what it really was, as long as that is fresh", () => {
  const estimate = new RunTimeEstimate();
  estimate.ran(8, 8, 0);
  for (let batch = 0; batch < 10; batch++) estimate.worked(2, 6, 0);
  expect(estimate.workMs(8, 8, 1, 0)).toBeCloseTo(24);
  expect(estimate.workMs(8, 8, 2, 0)).toBeCloseTo(12);
  estimate.ran(8, 8, 10_000);
  expect(estimate.workMs(8, 8, 1, 10_000)).toBe(8);
});
