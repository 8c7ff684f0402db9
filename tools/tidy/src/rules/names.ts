import type { Finding, Rule } from "../finding.ts";
import type { Repository } from "../repository.ts";

const empty = /^(utils?|helpers?|commons?|managers?|impl|misc|stuff|shared|data\d|temp|new|old)$/;

/** Files and folders are named after what they hold; an index file stands only at a package's door. */
export const namesSaySomething: Rule = (repository) =>
  [...repository.paths]
    .filter((path) => /^(libs|services|tools|deploy)\/.*\.(ts|py|sh)$/.test(path) && !path.includes("/src/gen/"))
    .flatMap((path): Finding[] => {
      const names = path
        .split("/")
        .slice(1)
        .flatMap((name, index, all) => nameWords(name, index === all.length - 1));
      const bad = names.find((name) => empty.test(name));
      if (bad !== undefined) {
        return [
          {
            path,
            problem: `is named by "${bad}", which says nothing of what is in it`,
            why: "someone with a metric, an error or an RPC in hand finds the file by that word alone",
            remedy: "name it after the one thing that it exports",
          },
        ];
      }
      return /\/index\.ts$/.test(path) && !isDoor(repository, path)
        ? [
            {
              path,
              problem: "is an index file inside a package",
              why: "a file that only passes on others hides where things are",
              remedy: "import from the files themselves; only what package.json exports says what a package offers",
            },
          ]
        : [];
    });

/** A file that the package's `exports` name. */
const isDoor = (repository: Repository, path: string): boolean =>
  repository.packages.some(
    ({ folder }) =>
      path.startsWith(`${folder}/`) &&
      repository
        .files(new RegExp(`^${folder}/package\\.json$`))
        .some(({ text }) => text.includes(`"./${path.slice(folder.length + 1)}"`)),
  );

const nameWords = (name: string, isFile: boolean): string[] =>
  (isFile ? name.replace(/\.(test|contract|fixture|reference|bench|config)?\.?(ts|py|sh)$/, "") : name)
    .toLowerCase()
    // The protocol's own word for a thing.
    .replace(/shared[-_]memory/, "memory")
    .split(/[-_.]/);
