import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A workspace package, and the names of what it says that it uses. */
export interface WorkspacePackage {
  /** `@millrace/kv`. */
  readonly name: string;
  /** `libs/kv`. */
  readonly folder: string;
  readonly kind: "lib" | "service" | "tool";
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** A text file, by its path from the repository's root. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** What rules look at: the files that git knows or would add, and the packages among them. */
export interface Repository {
  readonly paths: ReadonlySet<string>;
  readonly packages: readonly WorkspacePackage[];
  /** Dependencies of the root, which every package's tests may use. */
  readonly rootDevDependencies: Readonly<Record<string, string>>;
  /** Files whose path matches, with their text. */
  files(pattern: RegExp): TextFile[];
  /** Whether a file or folder is there, be it ignored by git or not. */
  exists(path: string): boolean;
}

export const openRepository = (root: string): Repository => {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 ** 2,
  });
  const files = listed
    .split("\0")
    .filter((path) => path !== "" && lstatSync(join(root, path), { throwIfNoEntry: false })?.isFile() === true);
  return repositoryOf(new Map(files.map((path) => [path, () => readFileSync(join(root, path), "utf8")])), (path) =>
    existsSync(join(root, path)),
  );
};

/** A repository of given files; `exists` answers for what is not among them. */
export const repositoryOf = (
  files: ReadonlyMap<string, () => string>,
  exists: (path: string) => boolean = () => false,
): Repository => {
  const texts = new Map<string, string>();
  const textOf = (path: string): string => {
    const known = texts.get(path) ?? files.get(path)?.() ?? "";
    texts.set(path, known);
    return known;
  };
  const folders = new Set([...files.keys()].flatMap(parentsOf));
  const paths = [...files.keys()].sort();
  return {
    paths: new Set(paths),
    packages: paths.flatMap((path) => readPackage(path, textOf)),
    rootDevDependencies: files.has("package.json") ? JSON.parse(textOf("package.json")).devDependencies : {},
    files: (pattern) => paths.filter((path) => pattern.test(path)).map((path) => ({ path, text: textOf(path) })),
    exists: (path) => files.has(path) || folders.has(path) || exists(path),
  };
};

const kinds = { libs: "lib", services: "service", tools: "tool" } as const;

const readPackage = (path: string, textOf: (path: string) => string): WorkspacePackage[] => {
  const [, folder, group] = /^((libs|services|tools)\/[^/]+|deploy)\/package\.json$/.exec(path) ?? [];
  if (folder === undefined) {
    return [];
  }
  const json = JSON.parse(textOf(path));
  return [
    {
      name: json.name,
      folder,
      kind: kinds[(group ?? "tools") as keyof typeof kinds],
      dependencies: { ...json.dependencies, ...json.optionalDependencies, ...json.peerDependencies },
      devDependencies: json.devDependencies ?? {},
    },
  ];
};

const parentsOf = (path: string): string[] => {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
};
