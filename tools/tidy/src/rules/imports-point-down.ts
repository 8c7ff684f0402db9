import type { Finding, Rule } from "../finding.ts";
import { importsOf, isTestFile, packageOf } from "../imports.ts";
import type { WorkspacePackage } from "../repository.ts";
import { sourcesOf } from "./imports-are-declared.ts";

/** The floors of the house, from the ground up. A lib imports only from floors below its own. */
const floors: readonly (readonly string[])[] = [
  ["contracts", "report", "trainer-python"],
  ["errors"],
  ["lmdb-folder"],
  ["tensor", "stats", "kv", "event-log", "grpc"],
  ["onnx", "feature-definition", "rest"],
  ["model-package"],
  ["service-host"],
];

const why =
  "imports point one way (services, then libs, then contracts), so that each part can be understood, tested and adopted without those above it";

/** Imports point down: services meet only in proto/ and on the wire, libs know nothing of services and tools. */
export const importsPointDown: Rule = (repository) => {
  const byName = new Map(repository.packages.map((entry) => [entry.name, entry]));
  return repository.packages.flatMap((from) => [
    ...sourcesOf(repository, from).flatMap((file) =>
      importsOf(file).flatMap(({ specifier, line }): Finding[] => {
        const to = byName.get(packageOf(specifier) ?? "");
        const problem = to === undefined || to === from ? undefined : problemOf(from, to, isTestFile(file.path));
        return problem === undefined ? [] : [{ path: file.path, line, why, ...problem }];
      }),
    ),
    ...unplaced(from),
  ]);
};

const problemOf = (
  from: WorkspacePackage,
  to: WorkspacePackage,
  inTest: boolean,
): Pick<Finding, "problem" | "remedy"> | undefined => {
  if (to.kind === "service") {
    return {
      problem: `imports the service ${to.name}`,
      remedy: "call it through its contract in proto/, or move what both need to a lib",
    };
  }
  if (to.kind === "tool") {
    return inTest || from.kind === "tool"
      ? undefined
      : {
          problem: `imports the tool ${to.name} outside of a test`,
          remedy: "move what is needed at run time to a lib",
        };
  }
  const [own, other] = [floorOf(from), floorOf(to)];
  return from.kind === "lib" && own !== undefined && other !== undefined && other >= own && !inTest
    ? {
        problem: `imports ${to.name}, which does not lie below ${from.name}`,
        remedy: `move what is needed below both, or change the floors in tools/tidy/src/rules/imports-point-down.ts with a decision in docs/decisions`,
      }
    : undefined;
};

const unplaced = (lib: WorkspacePackage): Finding[] =>
  lib.kind === "lib" && floorOf(lib) === undefined
    ? [
        {
          path: `${lib.folder}/package.json`,
          problem: `is a lib without a floor`,
          why,
          remedy: "give it one in tools/tidy/src/rules/imports-point-down.ts",
        },
      ]
    : [];

const floorOf = ({ folder }: WorkspacePackage): number | undefined => {
  const floor = floors.findIndex((names) => names.includes(folder.replace(/^libs\//, "")));
  return floor < 0 ? undefined : floor;
};
