import { describe, expect, test } from "vitest";
import { DeadlineMargin } from "./deadline-margin.ts";

const request = { arrivedMs: 0, expiresAtMs: 100 };

describe("the margin of a predicted answer time", () => {
  test("is a quarter as long as answers are in time, and grows by each that is late", () => {
    const margin = new DeadlineMargin();
    margin.answered(request, 90, false);
    expect(margin.factor).toBe(1.25);
    margin.answered(request, 101, false);
    const once = margin.factor;
    expect(once).toBeGreaterThan(1.25);
    margin.answered(request, 90, true);
    expect(margin.factor).toBeGreaterThan(once);
  });

  test("holds still where one answer in fifty is late, and is bounded", () => {
    const margin = new DeadlineMargin();
    for (let call = 0; call < 1000; call++) margin.answered(request, 101, false);
    expect(margin.factor).toBe(4);
    for (let round = 0; round < 20; round++) {
      margin.answered(request, 101, false);
      for (let call = 0; call < 50; call++) margin.answered(request, 90, false);
    }
    expect(margin.factor).toBeCloseTo(4, 0);
    for (let call = 0; call < 3000; call++) margin.answered(request, 90, false);
    expect(margin.factor).toBe(1.25);
  });

  test("counts who leaves near the deadline, and not who changes its mind", () => {
    const margin = new DeadlineMargin();
    margin.left(request, 10);
    margin.answered(request, 50, true);
    expect(margin.factor).toBe(1.25);
    margin.left(request, 95);
    expect(margin.factor).toBeGreaterThan(1.25);
  });

  test("learns nothing from requests without a deadline", () => {
    const margin = new DeadlineMargin();
    margin.answered({ arrivedMs: 0, expiresAtMs: undefined }, 1e9, true);
    margin.left({ arrivedMs: 0, expiresAtMs: undefined }, 1e9);
    expect(margin.factor).toBe(1.25);
  });
});
