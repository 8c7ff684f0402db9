import { type Finding, lineAt, type Rule } from "../finding.ts";

/** One name for a thing everywhere: no default exports, but where a tool reads its configuration from one. */
export const noDefaultExports: Rule = (repository) =>
  repository
    .files(/^(libs|services|tools|deploy)\/.*\.ts$/)
    .filter(({ path }) => !/\/vitest[^/]*\.config\.ts$/.test(path))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/^export default /gm)].map(
        (match): Finding => ({
          path,
          line: lineAt(text, match.index),
          problem: "has a default export",
          why: "each importer gives it a name of its own, and the one word for it is lost",
          remedy: "export it by its name",
        }),
      ),
    );
