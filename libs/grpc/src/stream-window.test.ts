import { describe, expect, test } from "vitest";
import { StreamWindow } from "./stream-window.ts";

/** Reads requests until the window closes. @returns how many. */
const fill = (window: StreamWindow, requestBytes: number): number => {
  let count = 0;
  for (; window.open; count++) window.requested(requestBytes);
  return count;
};

const mebibyte = 1024 * 1024;

describe("a stream's window", () => {
  test("lets one request through, however large it is", () => {
    expect(fill(new StreamWindow(), 64 * mebibyte)).toBe(1);
  });

  test("closes at its bytes, and at its number of requests", () => {
    expect(fill(new StreamWindow(), mebibyte)).toBeLessThanOrEqual(16);
    const window = new StreamWindow();
    for (let at = 0; at < 500; at++) {
      window.requested(10);
      window.answered(10, 10);
      window.sent(10);
    }
    expect(fill(window, 10)).toBe(1024);
  });

  test("counts answers that were not taken, and those to come as large as the ones before", () => {
    const window = new StreamWindow();
    window.requested(10);
    window.answered(10, 4 * mebibyte);
    // One answer of 4 MiB waits; three more of that size fill the rest.
    expect(fill(window, 10)).toBe(3);
    window.sent(4 * mebibyte);
    expect(window.open).toBe(true);
  });
});
