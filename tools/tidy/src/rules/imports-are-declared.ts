import { posix } from "node:path";
import type { Finding, Rule } from "../finding.ts";
import { importsOf, isTestFile, packageOf } from "../imports.ts";
import type { Repository, WorkspacePackage } from "../repository.ts";

/** Each package imports only what its own package.json declares, and declares only what it uses. */
export const importsAreDeclared: Rule = (repository) =>
  repository.packages.flatMap((owner) => [...undeclared(repository, owner), ...unused(repository, owner)]);

const undeclared = (repository: Repository, owner: WorkspacePackage): Finding[] => {
  const findings: Finding[] = [];
  for (const file of sourcesOf(repository, owner)) {
    for (const { specifier, line, typeOnly } of importsOf(file)) {
      const name = packageOf(specifier);
      if (name === undefined) {
        if (specifier.startsWith(".") && !isVitestConfiguration(file.path)) {
          const target = posix.join(posix.dirname(file.path), specifier);
          if (!target.startsWith(`${owner.folder}/`)) {
            findings.push({
              path: file.path,
              line,
              problem: `imports ${specifier}, which lies outside of ${owner.folder}`,
              why: "a package meets another only through its exports, so that it can be packed and moved alone",
              remedy: "import it as @millrace/<package>, and declare that package",
            });
          }
        }
        continue;
      }
      const declared = Object.hasOwn(owner.dependencies, name) || name === owner.name;
      const forTests =
        Object.hasOwn(owner.devDependencies, name) || Object.hasOwn(repository.rootDevDependencies, name);
      if (declared || (forTests && (typeOnly || isTestFile(file.path) || owner.kind === "tool"))) {
        continue;
      }
      findings.push({
        path: file.path,
        line,
        problem: forTests
          ? `imports ${name} at run time, and ${owner.folder}/package.json has it among devDependencies`
          : `imports ${name}, which ${owner.folder}/package.json does not declare`,
        why: "it works here by chance of the workspace, and is missing in an image or a packed archive",
        remedy: `add ${name} to the dependencies of ${owner.folder}/package.json, at an exact version`,
      });
    }
  }
  return findings;
};

/** They share the root's base, and are no part of what a package is to others. */
const isVitestConfiguration = (path: string): boolean => /\/vitest[^/]*\.config\.ts$/.test(path);

const unused = (repository: Repository, owner: WorkspacePackage): Finding[] => {
  const texts = repository
    .files(new RegExp(`^${owner.folder}/`))
    .filter(({ path }) => !path.endsWith("/package.json") && !path.endsWith(".md"))
    .map(({ text }) => text);
  return Object.keys({ ...owner.dependencies, ...owner.devDependencies })
    .filter((name) => !name.startsWith("@types/"))
    .filter((name) => !texts.some((text) => text.includes(name)))
    .map((name) => ({
      path: `${owner.folder}/package.json`,
      problem: `declares ${name}, which nothing in ${owner.folder} uses`,
      why: "a dependency without a use is installed, shipped and watched for nothing",
      remedy: `remove ${name} from ${owner.folder}/package.json`,
    }));
};

/** The TypeScript of a package, generated code and test data aside. */
export const sourcesOf = (repository: Repository, { folder }: WorkspacePackage) =>
  repository.files(new RegExp(`^${folder}/.*\\.m?ts$`)).filter(({ path }) => !path.includes("/src/gen/"));
