import { quoteText } from "../duckdb-literal.ts";
import { type Operation, operation } from "../operation.ts";
import { checked, fail } from "./arithmetic.ts";
import { civilTime } from "./civil-time.ts";

/** Whether this machine knows a zone of the IANA database by this name, or it is UTC. */
export const isTimeZone = (zone: string): boolean => {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(zone)) return false;
  if (zone !== "UTC" && !zone.includes("/")) return false;
  try {
    formatFor(zone);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
};

/**
 * `value AT TIME ZONE 'zone'`: the wall clock of an instant, or the instant of a wall clock. A wall clock that occurs
 * twice is read with the offset after the change, one that is skipped with the offset before it, as PostgreSQL does.
 */
export const atTimeZone = (zone: string, type: "TIMESTAMP" | "LOCAL_TIMESTAMP"): Operation => {
  const offsetUs = offsets(zone);
  return type === "TIMESTAMP"
    ? operation(`at time zone:${zone}`, ["TIMESTAMP"], "LOCAL_TIMESTAMP", {
        fails: true,
        evaluate: (us) => checked(us + offsetUs(us)),
        sql: (value) => `timezone(${quoteText(zone)}, CAST(${value} AS TIMESTAMPTZ))`,
      })
    : operation(`at time zone:${zone}`, ["LOCAL_TIMESTAMP"], "TIMESTAMP", {
        fails: true,
        evaluate: (local) => instantOfLocal(local, offsetUs),
        sql: (value) => `CAST(timezone(${quoteText(zone)}, ${value}) AS TIMESTAMP)`,
      });
};

const dayUs = 86_400_000_000n;

const instantOfLocal = (local: bigint, offsetUs: (us: bigint) => bigint): bigint => {
  const before = offsetUs(local - dayUs);
  const after = offsetUs(local + dayUs);
  if (offsetUs(local - after) === after) return local - after;
  return local - before;
};

/** The offset of a zone at an instant. Offsets change at whole quarters of an hour, so one is kept for each of these. */
const offsets = (zone: string): ((us: bigint) => bigint) => {
  const format = formatFor(zone);
  const quarterUs = 900_000_000n;
  const known = new Map<bigint, bigint>();
  return (us) => {
    const quarter = us / quarterUs - (us % quarterUs < 0n ? 1n : 0n);
    const found = known.get(quarter);
    if (found !== undefined) return found;
    const offset = offsetAt(quarter * quarterUs, format);
    if (known.size > 100_000) known.clear();
    known.set(quarter, offset);
    return offset;
  };
};

const offsetAt = (us: bigint, format: Intl.DateTimeFormat): bigint => {
  const ms = Number(us / 1000n);
  if (Math.abs(ms) > 8.64e15) return fail("TIMESTAMP is out of range");
  const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0;
  const year = civilTime(us).year < 1 ? 1 - part("year") : part("year");
  const local = new Date(0);
  local.setUTCFullYear(year, part("month") - 1, part("day"));
  local.setUTCHours(part("hour"), part("minute"), part("second"));
  return BigInt(local.getTime() - ms) * 1000n;
};

const formats = new Map<string, Intl.DateTimeFormat>();

const formatFor = (zone: string): Intl.DateTimeFormat => {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  formats.set(zone, format);
  return format;
};
