import type { Finding, Rule } from "../finding.ts";

/** Versions are exact, and one for all packages. */
export const versionsAreExact: Rule = ({ packages }) => {
  const first = new Map<string, { version: string; folder: string }>();
  return packages.flatMap(({ folder, dependencies, devDependencies }) =>
    Object.entries({ ...dependencies, ...devDependencies }).flatMap(([name, version]): Finding[] => {
      const path = `${folder}/package.json`;
      if (!/^\d+\.\d+\.\d+(-[\w.-]+)?$/.test(version)) {
        return [
          {
            path,
            problem: `asks for ${name} at ${version}`,
            why: "a range means another program on another day",
            remedy: "write the exact version, and run npm install",
          },
        ];
      }
      const known = first.get(name) ?? { version, folder };
      first.set(name, known);
      return known.version === version
        ? []
        : [
            {
              path,
              problem: `has ${name} at ${version}, and ${known.folder} at ${known.version}`,
              why: "two versions of one library are two sets of types, classes and bugs in one process",
              remedy: "take one version for both",
            },
          ];
    }),
  );
};
