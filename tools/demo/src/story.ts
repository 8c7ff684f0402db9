const day = 86_400_000_000;
const utc = (text: string): number => Date.parse(`${text}T00:00:00Z`) * 1000;

/** The dates of the walkthrough, UTC microseconds. */
export const story = {
  /** The model learns from January; its history is in the online store before the replay begins. */
  replayFromUs: utc("2001-02-05"),
  /** From here on the feed of arrivals sends seconds where minutes are declared. */
  breakFromUs: utc("2001-03-12"),
  replayToUs: utc("2001-03-15"),
  /** With `--all`: to the last whole week of the data. The feed stays broken to its end. */
  allReplayToUs: utc("2001-06-25"),
  weekUs: 7 * day,
  dayUs: day,
  /** No flight that pushed back later than this is needed for the replay. */
  dataUntil: "2001-03-20",
  allDataUntil: "2001-07-02",
  /** What the broken feed multiplies a delay with. */
  brokenFactor: 60,
} as const;

/** Text of a moment: `2001-02-05`. */
export const dateText = (atUs: number): string => new Date(atUs / 1000).toISOString().slice(0, 10);
