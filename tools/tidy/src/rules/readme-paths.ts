import { posix } from "node:path";
import { type Finding, lineAt, type Rule } from "../finding.ts";
import type { Repository, TextFile } from "../repository.ts";

const pathForm = /`([\w@.-]+(?:\/[\w@.*-]+)+\/?|[\w-]+\.(?:ts|proto|ya?ml|json|md|tpl|py))`/g;
const linkForm = /\]\((?!https?:|#|mailto:)([^)\s#]+)(?:#[^)]*)?\)/g;

/** Each package says what it is for and where each behaviour is, and every path that it names is there. */
export const readmePathsExist: Rule = (repository) => [
  ...repository.packages.flatMap((entry) => missingTable(repository, entry.folder, entry.kind)),
  ...repository
    .files(/(^|\/)README\.md$|^docs\/.*\.md$/)
    .flatMap((file) => [...deadPaths(repository, file), ...deadLinks(repository, file)]),
];

const missingTable = (repository: Repository, folder: string, kind: string): Finding[] => {
  const [readme] = repository.files(new RegExp(`^${folder}/README\\.md$`));
  if (readme === undefined) {
    return [
      {
        path: folder,
        problem: "has no README.md",
        why: "someone who meets the package first has to learn from its code what it is for",
        remedy: "write what it is for in two sentences, an example that runs, and the table behaviour → file",
      },
    ];
  }
  return kind === "tool" || folder === "libs/contracts" || behaviourTable(readme.text) !== undefined
    ? []
    : [
        {
          path: readme.path,
          problem: "has no section `Behaviour → file`",
          why: "any behaviour is found within a minute",
          remedy: "add a section of that heading, with a table of behaviours and the files that hold them",
        },
      ];
};

const deadPaths = (repository: Repository, file: TextFile): Finding[] => {
  const table = behaviourTable(file.text);
  if (table === undefined) {
    return [];
  }
  return [...table.text.matchAll(pathForm)].flatMap((match) => {
    const path = match[1] ?? "";
    return isThere(repository, file.path, path)
      ? []
      : [dead(file, table.start + match.index, `names the file ${path}, which is not there`)];
  });
};

const deadLinks = (repository: Repository, file: TextFile): Finding[] =>
  [...file.text.matchAll(linkForm)].flatMap((match) =>
    isThere(repository, file.path, match[1] ?? "")
      ? []
      : [dead(file, match.index, `links to ${match[1]}, which is not there`)],
  );

const dead = ({ path, text }: TextFile, position: number, problem: string): Finding => ({
  path,
  line: lineAt(text, position),
  problem,
  why: "a path that leads nowhere costs every reader the search that it should save",
  remedy: "name the file where it is now, or remove the row",
});

/** Paths are meant from the README's own folder, from its src, or from the repository's root. */
const isThere = (repository: Repository, readme: string, path: string): boolean => {
  const folder = posix.dirname(readme);
  return [folder, posix.join(folder, "src"), "."].some((base) => {
    const target = posix.join(base, path).replace(/\/$/, "");
    if (!target.includes("*")) {
      return repository.exists(target);
    }
    const pattern = new RegExp(`^${target.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^/]*")}(/|$)`);
    return [...repository.paths].some((known) => pattern.test(known));
  });
};

/** The section whose heading holds "behaviour" and "file". */
const behaviourTable = (text: string): { text: string; start: number } | undefined => {
  const heading = /^#+ .*behaviou?rs?\b.*\bfiles?\b.*$/im.exec(text);
  if (heading === null) {
    return undefined;
  }
  const start = heading.index + heading[0].length;
  const end = text.slice(start).search(/^#+ /m);
  return { text: end < 0 ? text.slice(start) : text.slice(start, start + end), start };
};
