import { loadModule, type Node, parseSync } from "libpg-query";

await loadModule();

const longestQuery = 65_536;

/** A query of a `sql` source that may stand as a subquery in another. */
export interface ParsedQuery {
  /** One statement, without the semicolon behind it. */
  readonly text: string;
  /** Whether the query itself says in which order its rows come. */
  readonly isOrdered: boolean;
}

/**
 * Reads a query with PostgreSQL's own parser. What it returns is one SELECT and nothing else, so that it keeps its
 * meaning between parentheses: text that would close them and go on does not parse by itself.
 * @returns the query, or the sentence that says what is wrong with the text.
 */
export const parseQuery = (text: string): ParsedQuery | string => {
  if (text.length > longestQuery) return `a query of ${text.length} characters, where ${longestQuery} are allowed`;
  if (text.includes("\0")) return "a query with a NUL character";
  const parsed = parse(text);
  if (typeof parsed === "string") return parsed;
  const [statement, ...others] = parsed;
  const select = selectOf(statement?.stmt);
  if (statement === undefined || others.length > 0) return `${parsed.length} statements`;
  if (select === undefined) return `a statement that is no SELECT: ${Object.keys(statement.stmt ?? {}).join()}`;
  if (select.intoClause !== undefined) return "a SELECT INTO, which writes a table";
  const start = statement.stmt_location ?? 0;
  const end = statement.stmt_len === undefined ? undefined : start + statement.stmt_len;
  // The parser counts bytes.
  const own = Buffer.from(text).subarray(start, end).toString().trim();
  return { text: own, isOrdered: (select.sortClause ?? []).length > 0 };
};

const parse = (text: string) => {
  try {
    return parseSync(text).stmts ?? [];
  } catch (error) {
    return `a query that PostgreSQL's parser refuses: ${error instanceof Error ? error.message : String(error)}`;
  }
};

const selectOf = (node: Node | undefined) => (node !== undefined && "SelectStmt" in node ? node.SelectStmt : undefined);
