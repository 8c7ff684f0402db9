import { expect, test } from "vitest";
import { InFlightBytes } from "./in-flight-bytes.ts";

test("requests are refused beyond the bound, and taken again when others are done", () => {
  const inFlight = new InFlightBytes(100);
  inFlight.acquire(60);
  expect(() => inFlight.acquire(41)).toThrow(/41 bytes came while 60 bytes of requests were under way, of 100/);
  inFlight.acquire(40);
  inFlight.release(60);
  inFlight.acquire(41);
  inFlight.release(40);
  inFlight.release(41);
  expect(inFlight.bytes).toBe(0);
  expect(() => inFlight.acquire(101)).toThrow(/101 bytes came while 0 bytes/);
  expect(inFlight.bytes).toBe(0);
});
