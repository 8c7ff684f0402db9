import { MillraceError, Reason } from "@millrace/errors";

const MICROSECONDS_A_SECOND = 1_000_000n;
const MICROSECONDS_A_DAY = 86_400_000_000n;
/** Offsets of zones change only at quarters of an hour, so one look-up a quarter is enough. */
const QUARTER_US = 900_000_000n;
const MONDAY_OFFSET_DAYS = 4n;

/** Thrown for a time zone that the runtime's IANA data does not have. */
export class TimeZoneUnknownError extends MillraceError {
  constructor(timeZone: string, cause: unknown) {
    super("INVALID_ARGUMENT", Reason.FIELD_INVALID, `\`${timeZone}\` is not an IANA time zone such as Europe/Rome.`, {
      violations: [{ field: "time_zone", expected: "an IANA time zone", got: timeZone }],
      cause,
    });
  }
}

/** The lengths that a calendar window may have. */
export const windowLengths = ["1h", "1d", "7d"] as const;
export type WindowLength = (typeof windowLengths)[number];

/** A calendar window: microseconds since 1970 in UTC, the end not in it. */
export interface CalendarWindow {
  readonly fromUs: bigint;
  readonly toUs: bigint;
}

/** Days, hours and weeks of one time zone. Weeks begin on Monday. Holds a small cache: make one a zone and keep it. */
export class Calendar {
  readonly timeZone: string;
  readonly #format: Intl.DateTimeFormat | undefined;
  readonly #offsets = new Map<bigint, bigint>();

  /** @param timeZone IANA name. @throws TimeZoneUnknownError */
  constructor(timeZone = "UTC") {
    this.timeZone = timeZone;
    if (timeZone === "UTC") return;
    try {
      this.#format = new Intl.DateTimeFormat("en-US", {
        timeZone,
        hourCycle: "h23",
        era: "short",
        year: "numeric",
        month: "numeric",
        day: "numeric",
        hour: "numeric",
        minute: "numeric",
        second: "numeric",
      });
    } catch (error) {
      throw new TimeZoneUnknownError(timeZone, error);
    }
  }

  /** Days since 1970-01-01 on the zone's calendar. */
  dayOf(timeUs: bigint): number {
    return Number(floorDivide(this.#local(timeUs), MICROSECONDS_A_DAY));
  }

  /** When the zone's day begins, in UTC. */
  startOfDay(day: number): bigint {
    return this.#utc(BigInt(day) * MICROSECONDS_A_DAY);
  }

  /** The window of a length in which an instant lies. A day of a clock change has 23 or 25 hours. */
  windowOf(timeUs: bigint, length: WindowLength): CalendarWindow {
    if (length === "1h") {
      const offsetUs = this.#offset(timeUs);
      const hourUs = 3_600_000_000n;
      const fromUs = floorDivide(timeUs + offsetUs, hourUs) * hourUs - offsetUs;
      return { fromUs, toUs: fromUs + hourUs };
    }
    const day = BigInt(this.dayOf(timeUs));
    const days = length === "1d" ? 1n : 7n;
    const first = length === "1d" ? day : floorDivide(day - MONDAY_OFFSET_DAYS, 7n) * 7n + MONDAY_OFFSET_DAYS;
    return { fromUs: this.startOfDay(Number(first)), toUs: this.startOfDay(Number(first + days)) };
  }

  #local(timeUs: bigint): bigint {
    return timeUs + this.#offset(timeUs);
  }

  #utc(localUs: bigint): bigint {
    const guess = localUs - this.#offset(localUs);
    const offset = this.#offset(guess);
    return localUs - offset;
  }

  #offset(timeUs: bigint): bigint {
    if (this.#format === undefined) return 0n;
    const quarter = floorDivide(timeUs, QUARTER_US);
    const known = this.#offsets.get(quarter);
    if (known !== undefined) return known;
    const instantMs = Number((quarter * QUARTER_US) / 1000n);
    const parts = new Map(this.#format.formatToParts(instantMs).map(({ type, value }) => [type, value]));
    const part = (name: Intl.DateTimeFormatPartTypes) => Number(parts.get(name));
    const year = parts.get("era") === "BC" ? 1 - part("year") : part("year");
    const local = new Date(0);
    local.setUTCFullYear(year, part("month") - 1, part("day"));
    local.setUTCHours(part("hour"), part("minute"), part("second"));
    const offset = BigInt(Math.round((local.getTime() - instantMs) / 1000)) * MICROSECONDS_A_SECOND;
    if (this.#offsets.size > 100_000) this.#offsets.clear();
    this.#offsets.set(quarter, offset);
    return offset;
  }
}

const floorDivide = (value: bigint, divisor: bigint): bigint => {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
};
