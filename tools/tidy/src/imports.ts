import { lineAt } from "./finding.ts";
import type { TextFile } from "./repository.ts";

/** An import of a file: what is imported, where, and whether only types are. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  readonly typeOnly: boolean;
}

const statement = /^[ \t]*(?:import|export)\s+(?:(type)\s+)?(?:[^'"`;()]*?\sfrom\s+)?["']([^"']+)["']/gm;
const expression = /\bimport(?:\.meta\.resolve)?\(\s*["']([^"']+)["']\s*,?\s*\)/g;

/**
 * The imports of a TypeScript file that name their target as text: statements at the beginning of a line, re-exports,
 * `import("…")` and `import.meta.resolve("…")`. Lines of comments begin with `*` or `//` and are left out.
 */
export const importsOf = ({ text }: TextFile): Import[] => {
  const found: Import[] = [];
  for (const match of text.matchAll(statement)) {
    const [, type, specifier = ""] = match;
    found.push({ specifier, line: lineAt(text, match.index), typeOnly: type !== undefined });
  }
  for (const match of text.matchAll(expression)) {
    const before = text.slice(text.lastIndexOf("\n", match.index) + 1, match.index);
    if (!/^\s*(?:\*|\/\/|\/\*)/.test(before)) {
      // `typeof import("…")` and `import("…").Type` in a type position cannot be told apart here: they count as values.
      found.push({ specifier: match[1] ?? "", line: lineAt(text, match.index), typeOnly: /typeof\s*$/.test(before) });
    }
  }
  return found;
};

/** `@millrace/kv` of `@millrace/kv/contract`; undefined for relative paths and Node's own modules. */
export const packageOf = (specifier: string): string | undefined => {
  if (specifier.startsWith(".") || specifier.startsWith("node:") || specifier.startsWith("#")) {
    return undefined;
  }
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
};

/** Files that only tests and benchmarks load. */
export const isTestFile = (path: string): boolean =>
  /\.(test|contract|fixture|reference|bench)\.ts$|^[^/]+\/[^/]+\/(test|bench)\/|\/vitest[^/]*\.config\.ts$/.test(path);
