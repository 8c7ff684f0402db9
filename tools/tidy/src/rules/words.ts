import { type Finding, lineAt, type Rule } from "../finding.ts";

// Written in two parts, so that this file passes its own rule.
const left = (...parts: readonly string[]) => parts.join("");

interface ForbiddenWord {
  readonly pattern: RegExp;
  readonly problem: string;
  readonly why: string;
  readonly remedy: string;
}

const words: readonly ForbiddenWord[] = [
  {
    pattern: new RegExp(`\\b(${left("TO", "DO")}|${left("FIX", "ME")}|${left("XX", "X")}|${left("HA", "CK")})\\b`, "g"),
    problem: "has a note of work left",
    why: "what is not done either fails with a clear error or stands in the README under what the package does not do",
    remedy: "do it, or say it there",
  },
  {
    pattern: new RegExp(left("(?<![\\w.])/wo", "rk/(main|shared|\\.)|/ro", "ot/|/ho", "me/[a-z]+/"), "g"),
    problem: "names a folder of one machine",
    why: "it is not there on any other",
    remedy: "write it relative to the repository, or as a setting",
  },
  {
    pattern: new RegExp(left('"resolved": "https?://(?!registry\\.npm', "js\\.org/)"), "g"),
    problem: "names the package registry of one machine",
    why: "another machine installs from its own",
    remedy: "resolve the lockfile with the .npmrc of this repository, which leaves addresses out",
  },
];

/** Text that should not be in the repository: notes of work left, and paths and addresses of one machine. */
export const textIsForEveryone: Rule = (repository) =>
  repository
    .files(/(\.(ts|mts|js|json|md|ya?ml|proto|sh|py|tpl|html|sql)|Dockerfile|\/run)$/)
    .filter(({ path }) => !/\/src\/gen\/|^proto\/(inference|feast|onnx|grpc|google|buf)\//.test(path))
    .flatMap(({ path, text }) =>
      words.flatMap(({ pattern, ...rest }) =>
        [...text.matchAll(pattern)].map((match): Finding => ({ path, line: lineAt(text, match.index), ...rest })),
      ),
    );
