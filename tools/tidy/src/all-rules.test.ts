import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { allRules } from "./all-rules.ts";
import { formatFinding } from "./finding.ts";
import { openRepository, repositoryOf } from "./repository.ts";

const manifest = (name: string, dependencies = {}, devDependencies = {}) =>
  JSON.stringify({ name: `@millrace/${name}`, dependencies, devDependencies });

/** The problems that a rule finds in a repository of these files. */
const problems = (rule: string, files: Readonly<Record<string, string>>): string[] => {
  const all = { "package.json": manifest("root", {}, { vitest: "5.1.1" }), ...files };
  const repository = repositoryOf(new Map(Object.entries(all).map(([path, text]) => [path, () => text])));
  return (allRules[rule]?.(repository) ?? []).map(({ path, line, problem }) => `${path}:${line ?? ""} ${problem}`);
};

describe("the repository", () => {
  const repository = openRepository(join(import.meta.dirname, "../../.."));

  test.each(Object.entries(allRules))("keeps the rule: %s", (_, rule) => {
    expect(rule(repository).map(formatFinding).join("\n")).toBe("");
  });
});

// In two parts, so that this file itself imports nothing by it.
const call = ["im", "port"].join("");

describe("imports are declared", () => {
  const check = (source: string, file = "src/a.ts", dependencies = {}, devDependencies = {}) =>
    problems("imports are declared", {
      "libs/kv/package.json": manifest("kv", dependencies, devDependencies),
      [`libs/kv/${file}`]: source,
    });
  const undeclared = (line: number, name = "lmdb") =>
    `libs/kv/src/a.ts:${line} imports ${name}, which libs/kv/package.json does not declare`;

  test("finds every form of import", () => {
    expect(check('import { open } from "lmdb";')).toEqual([undeclared(1)]);
    expect(check('import {\n  open,\n  close,\n} from "lmdb/node";')).toEqual([undeclared(1)]);
    expect(check('\nexport { open } from "lmdb";')).toEqual([undeclared(2)]);
    expect(check('import "lmdb";')).toEqual([undeclared(1)]);
    expect(check(`const a = await ${call}("@scope/lmdb/x");`)).toEqual([undeclared(1, "@scope/lmdb")]);
  });

  test("leaves Node's own modules, the package's own files and comments", () => {
    expect(check(`import "node:fs";\nimport "./b.ts";\n * import { open } from "lmdb";\n// ${call}("lmdb")`)).toEqual(
      [],
    );
  });

  test("takes dev dependencies in tests and for types only", () => {
    const dev = { "fast-check": "4.10.2" };
    expect(check('import fc from "fast-check";\nimport "vitest";', "src/a.test.ts", {}, dev)).toEqual([]);
    expect(check('import type { Arbitrary } from "fast-check";', "src/a.ts", {}, dev)).toEqual([]);
    expect(check('import fc from "fast-check";', "src/a.ts", {}, dev)).toEqual([
      "libs/kv/src/a.ts:1 imports fast-check at run time, and libs/kv/package.json has it among devDependencies",
    ]);
  });

  test("finds paths out of the package, and declarations without a use", () => {
    expect(check('import "../../grpc/src/a.ts";')).toEqual([
      "libs/kv/src/a.ts:1 imports ../../grpc/src/a.ts, which lies outside of libs/kv",
    ]);
    expect(check("", "src/a.ts", { lmdb: "1.0.0" })).toEqual([
      "libs/kv/package.json: declares lmdb, which nothing in libs/kv uses",
    ]);
  });
});

describe("imports point down", () => {
  const check = (from: string, to: string, file = "src/a.ts") => {
    const name = (folder: string) => folder.split("/")[1] ?? "";
    return problems("imports point down", {
      [`${from}/package.json`]: manifest(name(from)),
      [`${to}/package.json`]: manifest(name(to)),
      [`${from}/${file}`]: `import "@millrace/${name(to)}";`,
    });
  };

  test("lets services use libs, and libs those below them", () => {
    expect(check("services/inference", "libs/tensor")).toEqual([]);
    expect(check("libs/service-host", "libs/grpc")).toEqual([]);
    expect(check("libs/kv", "tools/backing", "src/a.test.ts")).toEqual([]);
  });

  test("refuses a lib that imports its equal or its better, a service or a tool", () => {
    for (const to of ["libs/grpc", "libs/service-host", "services/training", "tools/backing"]) {
      expect(check("libs/kv", to), to).toHaveLength(1);
    }
  });

  test("refuses a service that imports another, from its tests too", () => {
    expect(check("services/inference", "services/training")).toHaveLength(1);
    expect(check("services/inference", "services/training", "test/a.test.ts")).toHaveLength(1);
  });

  test("refuses a lib that has no floor", () => {
    expect(check("libs/cellar", "libs/errors")).toHaveLength(1);
  });
});

test("names say something finds empty names and inner index files", () => {
  const paths = ["libs/kv/src/string-utils.ts", "libs/kv/src/common/a.ts", "libs/kv/src/redis/index.ts"];
  const good = [
    "libs/kv/src/index.ts",
    "libs/kv/src/redis.contract.ts",
    "libs/kv/src/shared-memory.ts",
    "libs/kv/vitest.config.ts",
  ];
  const door = JSON.stringify({ name: "@millrace/kv", exports: { ".": "./src/index.ts" } });
  const files = { "libs/kv/package.json": door, ...Object.fromEntries([...paths, ...good].map((path) => [path, ""])) };
  expect(problems("names say something", files).map((text) => text.split(":")[0])).toEqual(paths.sort());
});

test("no default exports finds them, but in the configuration of vitest", () => {
  const files = { "libs/kv/src/a.ts": "export default 1;", "libs/kv/vitest.config.ts": "export default {};" };
  expect(problems("no default exports", files)).toEqual(["libs/kv/src/a.ts:1 has a default export"]);
});

test("files are short finds long ones, but tests", () => {
  const long = "\n".repeat(400);
  const files = { "libs/kv/src/a.ts": long, "libs/kv/src/a.test.ts": long, "libs/kv/src/a.contract.ts": long };
  expect(problems("files are short", files)).toEqual(["libs/kv/src/a.ts: has 401 lines; 350 are the most"]);
});

test("versions are exact finds ranges and a second version", () => {
  const found = problems("versions are exact", {
    "libs/a/package.json": manifest("a", { zod: "^4.0.0", yaml: "2.9.1" }),
    "libs/b/package.json": manifest("b", { yaml: "2.9.0" }),
  });
  expect(found).toEqual([
    "libs/a/package.json: asks for zod at ^4.0.0",
    "libs/b/package.json: has yaml at 2.9.0, and libs/a at 2.9.1",
  ]);
});

test("text is for everyone finds notes of work left, and folders of one machine", () => {
  const note = ["TO", "DO"].join("");
  const folder = ["/ho", "me/someone/x"].join("");
  const files = { "docs/a.md": `fine\n${note}: later`, "libs/kv/src/a.ts": `const path = "${folder}";` };
  expect(problems("text is for everyone", files)).toEqual([
    "docs/a.md:2 has a note of work left",
    "libs/kv/src/a.ts:1 names a folder of one machine",
  ]);
});

describe("README paths exist", () => {
  const check = (readme: string) =>
    problems("README paths exist", {
      "libs/kv/package.json": manifest("kv"),
      "libs/kv/src/redis.ts": "",
      "libs/kv/README.md": readme,
    });

  test("takes paths from the package, its src and the root, and patterns", () => {
    expect(
      check("## Behaviour → file\n`src/redis.ts` `redis.ts` `libs/kv/src` `src/*.ts` [kv](../kv/README.md)"),
    ).toEqual([]);
  });

  test("finds dead paths in the table and dead links anywhere", () => {
    expect(check("[gone](gone.md)\n## Behaviour → file\n| x | `src/gone.ts` |\n## Other\n`src/any.ts`")).toEqual([
      "libs/kv/README.md:3 names the file src/gone.ts, which is not there",
      "libs/kv/README.md:1 links to gone.md, which is not there",
    ]);
  });

  test("finds a package without README or without the table", () => {
    expect(problems("README paths exist", { "libs/kv/package.json": manifest("kv") })).toEqual([
      "libs/kv: has no README.md",
    ]);
    expect(check("# kv")).toEqual(["libs/kv/README.md: has no section `Behaviour → file`"]);
  });
});

test("error reasons are documented finds a reason without a row, and a row without a reason", () => {
  const files = {
    "proto/millrace/error/v1/reason.proto":
      "enum Reason {\n  REASON_UNSPECIFIED = 0;\n  REASON_A = 1;\n  REASON_B = 2;\n}",
    "libs/errors/README.md": "| `A` | … |\n| `C` | … |\n",
  };
  expect(problems("error reasons are documented", files)).toEqual([
    "proto/millrace/error/v1/reason.proto:4 has the reason B, which libs/errors/README.md does not explain",
    "libs/errors/README.md:2 explains C, which is no reason of the enum",
  ]);
});

test("settings and metrics are documented finds those that a README lacks, and those that it invents", () => {
  const files = {
    "services/training/package.json": manifest("training"),
    "services/training/src/settings.ts": "  stateUrl: setting(\n  workFolder: setting(",
    "services/training/src/metrics.ts": 'new Counter({ name: "millrace_runs_total" })',
    "libs/service-host/src/host-settings.ts": "  grpcPort: setting(",
    "services/training/README.md": "MILLRACE_STATE_URL MILLRACE_GRPC_PORT MILLRACE_STATE_URLS",
  };
  expect(problems("settings and metrics are documented", files)).toEqual([
    "services/training/README.md: does not have the setting MILLRACE_WORK_FOLDER",
    "services/training/README.md:1 names MILLRACE_STATE_URLS, which is no setting of services/training",
    "services/training/src/metrics.ts:1 has the metric millrace_runs_total, which services/training/README.md does not have",
  ]);
});
