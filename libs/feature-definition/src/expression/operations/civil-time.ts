import { fail } from "./arithmetic.ts";

/** An instant on the calendar, at UTC. */
export interface CivilTime {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
  /** Sunday is 0. */
  readonly weekday: number;
  /** From 1. */
  readonly dayOfYear: number;
  readonly hour: number;
  readonly minute: number;
  /** Microseconds within the minute. */
  readonly secondUs: number;
}

const dayUs = 86_400_000_000n;
const daysPerEra = 146_097;

/**
 * The calendar of an instant in microseconds (proleptic Gregorian).
 * @see Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
 */
export const civilTime = (us: bigint): CivilTime => {
  const withinDayUs = Number(((us % dayUs) + dayUs) % dayUs);
  const days = Number((us - BigInt(withinDayUs)) / dayUs);
  const shifted = days + 719_468;
  const era = Math.floor(shifted / daysPerEra);
  const dayOfEra = shifted - era * daysPerEra;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayFromMarch = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayFromMarch + 2) / 153);
  const day = dayFromMarch - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return {
    year,
    month,
    day,
    weekday: (((days + 4) % 7) + 7) % 7,
    dayOfYear: days - daysFromCivil(year, 1, 1) + 1,
    hour: Math.floor(withinDayUs / 3_600_000_000),
    minute: Math.floor((withinDayUs % 3_600_000_000) / 60_000_000),
    secondUs: withinDayUs % 60_000_000,
  };
};

/** The instant at which a day begins, in microseconds. */
export const instantOf = (year: number, month: number, day: number): bigint =>
  BigInt(daysFromCivil(year, month, day)) * dayUs;

/** The ISO 8601 week: weeks begin on Monday, and belong to the year that holds their Thursday. */
export const isoWeek = (time: CivilTime): { readonly year: number; readonly week: number } => {
  const fromMonday = (time.weekday + 6) % 7;
  const thursday = time.dayOfYear + 3 - fromMonday;
  if (thursday < 1) return { year: time.year - 1, week: Math.ceil((thursday + daysInYear(time.year - 1)) / 7) };
  if (thursday > daysInYear(time.year)) return { year: time.year + 1, week: 1 };
  return { year: time.year, week: Math.ceil(thursday / 7) };
};

const isoText =
  /^\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?)?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?\s*$/i;

/**
 * Microseconds of an ISO 8601 text such as `2001-01-31 10:00:00.5+01:00`. Without an offset it is UTC.
 * @returns undefined if it is no such text, or names a day that no month has.
 */
export const parseTimestamp = (text: string): bigint | undefined => {
  const match = isoText.exec(text);
  if (match === null) return undefined;
  const [, year = "", month = "", day = "", hour = "0", minute = "0", second = "0", fraction = "", zone = ""] = match;
  const midnight = instantOf(Number(year), Number(month), Number(day));
  const date = civilTime(midnight);
  if (date.month !== Number(month) || date.day !== Number(day)) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const seconds = Number(hour) * 3600 + Number(minute) * 60 + Number(second) - offsetSeconds(zone);
  return midnight + BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(6, "0"));
};

const offsetSeconds = (zone: string): number => {
  const match = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone);
  if (match === null) return 0;
  const [, sign, hours = "0", minutes = "0"] = match;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
};

const spanUnitsUs: Readonly<Record<string, bigint>> = {
  microsecond: 1n,
  millisecond: 1_000n,
  second: 1_000_000n,
  minute: 60_000_000n,
  hour: 3_600_000_000n,
  day: dayUs,
  week: 7n * dayUs,
};

/**
 * Microseconds of a span such as `1 day 2 hours`. Units of varying length (months, years) have none.
 * @returns undefined if it is no such text.
 */
export const parseInterval = (text: string): bigint | undefined => {
  const parts = [...text.matchAll(/\s*([+-]?\d+)\s*([a-z]+)\s*/gi)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== text) return undefined;
  let total = 0n;
  for (const [, count = "0", unit = ""] of parts) {
    const unitUs = spanUnitsUs[unit.toLowerCase().replace(/s$/, "")];
    if (unitUs === undefined) return undefined;
    total += BigInt(count) * unitUs;
  }
  return BigInt.asIntN(64, total) === total ? total : fail("INTERVAL is out of range");
};

const daysInYear = (year: number): number => ((year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 366 : 365);

/** Days from 1970-01-01. @see Howard Hinnant, days_from_civil. */
function daysFromCivil(year: number, month: number, day: number): number {
  const fromMarch = month <= 2 ? year - 1 : year;
  const era = Math.floor(fromMarch / 400);
  const yearOfEra = fromMarch - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * daysPerEra + dayOfEra - 719_468;
}
