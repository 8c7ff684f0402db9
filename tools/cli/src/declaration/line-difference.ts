import { diff } from "node:util";

/** Lines around a change that are shown. */
const around = 2;

/** What an edit changes, as lines after `-`, `+`, or nothing where they stay; `…` stands for lines that are left out. */
export const lineDifference = (before: string, after: string): string[] => {
  const lines = diff(linesOf(before), linesOf(after));
  const isNear = lines.map((_, at) =>
    lines.slice(Math.max(0, at - around), at + around + 1).some(([what]) => what !== 0),
  );
  return lines.flatMap(([what, line], at) => {
    if (isNear[at]) return `${what === 1 ? "-" : what === -1 ? "+" : " "} ${line}`;
    return at === 0 || isNear[at - 1] ? "…" : [];
  });
};

/** A line feed ends a line, and begins none. */
const linesOf = (text: string): string[] => text.replace(/\n$/, "").split("\n");
