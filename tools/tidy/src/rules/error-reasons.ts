import { type Finding, lineAt, type Rule } from "../finding.ts";

const protoPath = "proto/millrace/error/v1/reason.proto";
const readmePath = "libs/errors/README.md";

/** Each reason of the enum has a row in the README of errors, and each row has a reason. */
export const errorReasonsAreDocumented: Rule = (repository) => {
  const [proto] = repository.files(new RegExp(`^${protoPath}$`));
  const [readme] = repository.files(new RegExp(`^${readmePath}$`));
  if (proto === undefined || readme === undefined) {
    return [
      {
        path: proto === undefined ? protoPath : readmePath,
        problem: "is not there",
        why: "callers branch on reasons, and look up in the README what they mean",
        remedy: "write a table with one row a reason: | `REASON` | status | who throws it and when |",
      },
    ];
  }
  const reasons = new Map(
    [...proto.text.matchAll(/^\s*REASON_([A-Z_]+) = (\d+);/gm)]
      .filter(([, , number]) => number !== "0")
      .map((match) => [match[1] ?? "", lineAt(proto.text, match.index)]),
  );
  const rows = new Map(
    [...readme.text.matchAll(/^\|\s*`([A-Z_]+)`/gm)].map((match) => [match[1] ?? "", lineAt(readme.text, match.index)]),
  );
  const why = "the enum is what travels, the table what a caller reads: each must know all of the other";
  const without = [...reasons].filter(([name]) => !rows.has(name));
  const unknown = [...rows].filter(([name]) => !reasons.has(name));
  return [
    ...without.map(
      ([name, line]): Finding => ({
        path: protoPath,
        line,
        problem: `has the reason ${name}, which ${readmePath} does not explain`,
        why,
        remedy: `add a row | \`${name}\` | … | to ${readmePath}`,
      }),
    ),
    ...unknown.map(
      ([name, line]): Finding => ({
        path: readmePath,
        line,
        problem: `explains ${name}, which is no reason of the enum`,
        why,
        remedy: "remove the row, or add the reason to the enum",
      }),
    ),
  ];
};
