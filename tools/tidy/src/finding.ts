import type { Repository } from "./repository.ts";

/** Something that breaks a rule: where, why it is a rule, and what to do. */
export interface Finding {
  readonly path: string;
  /** From 1; absent where the whole file or folder is meant. */
  readonly line?: number;
  readonly problem: string;
  readonly why: string;
  readonly remedy: string;
}

export type Rule = (repository: Repository) => Finding[];

export const formatFinding = ({ path, line, problem, why, remedy }: Finding): string =>
  `${path}${line === undefined ? "" : `:${line}`}  ${problem}\n    why: ${why}\n    do:  ${remedy}`;

/** The line, from 1, of a position in a text. */
export const lineAt = (text: string, position: number): number => text.slice(0, position).split("\n").length;
