import { describe, expect, test } from "vitest";
import { Calendar, TimeZoneUnknownError, type WindowLength } from "./calendar.ts";

const us = (text: string): bigint => BigInt(Date.parse(text)) * 1000n;
const windowTexts = (calendar: Calendar, at: string, length: WindowLength) => {
  const { fromUs, toUs } = calendar.windowOf(us(at), length);
  return [fromUs, toUs].map((timeUs) => new Date(Number(timeUs / 1000n)).toISOString());
};

describe("a calendar window", () => {
  test("of a week begins on Monday, and holds its begin but not its end", () => {
    const calendar = new Calendar();
    const week = ["2001-02-05T00:00:00.000Z", "2001-02-12T00:00:00.000Z"];
    for (const at of ["2001-02-05T00:00:00Z", "2001-02-08T12:00:00Z", "2001-02-11T23:59:59.999Z"])
      expect(windowTexts(calendar, at, "7d")).toEqual(week);
    expect(windowTexts(calendar, "2001-02-12T00:00:00Z", "7d")[0]).toBe(week[1]);
  });

  test("before 1970 goes by the same calendar", () => {
    expect(windowTexts(new Calendar(), "1969-12-31T10:00:00Z", "1d")).toEqual([
      "1969-12-31T00:00:00.000Z",
      "1970-01-01T00:00:00.000Z",
    ]);
    expect(windowTexts(new Calendar(), "1969-12-31T10:00:00Z", "7d")[0]).toBe("1969-12-29T00:00:00.000Z");
  });

  test("of a day has 23 and 25 hours where the zone changes its clocks", () => {
    const calendar = new Calendar("America/New_York");
    expect(windowTexts(calendar, "2001-04-01T12:00:00Z", "1d")).toEqual([
      "2001-04-01T05:00:00.000Z",
      "2001-04-02T04:00:00.000Z",
    ]);
    expect(windowTexts(calendar, "2001-10-28T12:00:00Z", "1d")).toEqual([
      "2001-10-28T04:00:00.000Z",
      "2001-10-29T05:00:00.000Z",
    ]);
  });

  test("of an hour keeps the zone's minutes", () => {
    expect(windowTexts(new Calendar("Asia/Kolkata"), "2001-02-05T10:45:00Z", "1h")).toEqual([
      "2001-02-05T10:30:00.000Z",
      "2001-02-05T11:30:00.000Z",
    ]);
  });
});

test("an unknown zone is refused by name", () => {
  expect(() => new Calendar("Mars/Olympus")).toThrow(TimeZoneUnknownError);
});
