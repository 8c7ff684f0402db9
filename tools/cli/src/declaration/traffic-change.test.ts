import { describe, expect, test } from "vitest";
import { DeclarationDocument } from "./declaration-document.ts";
import { addVersion, promote, replaceVersions, rollBack } from "./traffic-change.ts";

const file = `# Who serves what.
deployments:
  # The one that pays.
  - model: delay   # by the team of arrivals
    versions: [{ version: 3, package: "delay@sha256:aa", weight: 90 }, { version: 4, package: 'delay:next', weight: 10 }] # canary

    batching: { maxBatchSize: 64 }
  - model: fare
    versions:
    - version: 1
      package: fare:live   # never moves
    - version: 2
      package: fare:next
      shadow: true
    sticky: {header: x-user}
`;

const edit = (change: (document: DeclarationDocument) => void, text = file): string => {
  const document = new DeclarationDocument(text, "deployments.yaml");
  change(document);
  return document.toString();
};
const weights = (text: string, model: string) =>
  Object.fromEntries(
    (new DeclarationDocument(text, "").versions(model) ?? []).map(({ version, weight }) => [String(version), weight]),
  );
/** The lines that differ. */
const changed = (text: string) => {
  const before = new Set(file.split("\n"));
  return text.split("\n").filter((line) => !before.has(line));
};

describe("an edit", () => {
  test("without a change gives the text back, whatever its form", () => {
    for (const text of [file, "", "deployments: []\n", "# nothing yet\n"]) {
      expect(edit(() => undefined, text)).toBe(text);
    }
  });

  test("leaves every line as it is that it does not change", () => {
    expect(changed(edit((document) => promote(document, "delay", 4n)))).toEqual([
      "    versions: [{ version: 3, package: \"delay@sha256:aa\", weight: 0 }, { version: 4, package: 'delay:next', weight: 100 }] # canary",
      "    previousVersion: 3",
    ]);
    expect(changed(edit((document) => promote(document, "fare", 2n, 25)))).toEqual([
      "      weight: 75",
      "      weight: 25",
      "    previousVersion: 1",
    ]);
  });

  test("refuses a file with aliases, one that is no YAML, and one that is no declaration", () => {
    expect(() => new DeclarationDocument("a: &a 1\nb: *a\n", "f.yaml")).toThrow(/f.yaml has aliases/);
    expect(() => new DeclarationDocument("deployments: [", "f.yaml")).toThrow(/f.yaml is no YAML/);
    expect(() => new DeclarationDocument("deployment: []", "f.yaml")).toThrow(/f.yaml is no deployment declaration/);
  });

  test("writes a field under the name that it has", () => {
    const text =
      "deployments: [{model: a, previous_version: 1, versions: [{version: 1, package: 'a:b', weight: 1}, {version: 2, package: 'a:c', weight: 9}]}]\n";
    const edited = edit((document) => promote(document, "a", 1n), text);
    expect(edited).toContain("previous_version: 2");
    expect(edited).not.toContain("previousVersion");
  });
});

describe("a promotion", () => {
  test("gives all traffic, takes shadow and header away, and notes where a rollback goes", () => {
    const text = edit((document) => promote(document, "fare", 2n));
    expect(weights(text, "fare")).toEqual({ 1: 0, 2: 100 });
    expect(text).not.toContain("shadow");
    expect(new DeclarationDocument(text, "").previousVersion("fare")).toBe(1n);
  });

  test("by percent keeps the others relative to each other", () => {
    const three = edit((document) => {
      addVersion(document, "delay", {
        version: 5n,
        package: "delay:five",
        percent: 20,
        shadow: false,
        header: undefined,
      });
    });
    expect(weights(three, "delay")).toEqual({ 3: 72, 4: 8, 5: 20 });
    expect(
      weights(
        edit((document) => promote(document, "delay", 5n, 19), three),
        "delay",
      ),
    ).toEqual({ 3: 729, 4: 81, 5: 190 });
    expect(
      weights(
        edit((document) => promote(document, "delay", 5n, 0), three),
        "delay",
      ),
    ).toEqual({ 3: 90, 4: 10, 5: 0 });
  });

  test("of what is not declared, or without another to have the rest, is refused", () => {
    expect(() => edit((document) => promote(document, "delay", 9n))).toThrow(
      /Version 9 of delay is not declared; declared are 3, 4/,
    );
    expect(() => edit((document) => promote(document, "nobody", 1n))).toThrow(/nobody is not declared/);
    expect(() => edit((document) => promote(document, "fare", 1n, 50))).toThrow(/no other version with traffic/);
  });

  test("of the version that has all already notes no other", () => {
    const all = edit((document) => promote(document, "delay", 4n));
    expect(edit((document) => promote(document, "delay", 4n), all)).toBe(all);
  });
});

describe("a rollback", () => {
  test("gives all back to the version before, once", () => {
    const promoted = edit((document) => promote(document, "delay", 4n));
    const back = edit((document) => expect(rollBack(document, "delay")).toBe(3n), promoted);
    expect(weights(back, "delay")).toEqual({ 3: 100, 4: 0 });
    expect(() => edit((document) => rollBack(document, "delay"), back)).toThrow(/nothing was promoted/);
  });

  test("to a version that is gone is refused", () => {
    const promoted = edit((document) => promote(document, "delay", 4n));
    const without = promoted.replace('{ version: 3, package: "delay@sha256:aa", weight: 0 }, ', "");
    expect(() => edit((document) => rollBack(document, "delay"), without)).toThrow(
      /Version 3 .* is not declared any more/,
    );
  });
});

describe("a version that is added", () => {
  test("as a shadow or by header has no share of the other calls", () => {
    const shadow = { version: 5n, package: "delay:five", percent: 0, shadow: true, header: undefined };
    expect(changed(edit((document) => addVersion(document, "delay", shadow)))).toEqual([
      "    versions: [{ version: 3, package: \"delay@sha256:aa\", weight: 90 }, { version: 4, package: 'delay:next', weight: 10 }, { version: 5, package: delay:five, shadow: true }] # canary",
    ]);
    const header = { version: 3n, package: "fare:three", percent: 0, shadow: false, header: "x-canary: yes" };
    const text = edit((document) => addVersion(document, "fare", header));
    expect(changed(text)).toEqual([
      "      weight: 100",
      "    - version: 3",
      "      package: fare:three",
      '      header: "x-canary: yes"',
      "      weight: 0",
    ]);
  });
});

test("a canary is rolled back like a promotion", () => {
  const canary = { version: 5n, package: "delay:five", percent: 30, shadow: false, header: undefined };
  const text = edit((document) => {
    addVersion(document, "delay", canary);
    rollBack(document, "delay");
  });
  expect(weights(text, "delay")).toEqual({ 3: 100, 4: 0, 5: 0 });
});

describe("a version that replaces the others", () => {
  test("is the only one, and a model that is not declared yet is", () => {
    expect(
      weights(
        edit((document) => replaceVersions(document, "delay", 5n, "delay:five")),
        "delay",
      ),
    ).toEqual({ 5: 0 });
    const text = edit((document) => replaceVersions(document, "new", 1n, "new:one"), "");
    expect(text).toBe("deployments:\n  - model: new\n    versions:\n      - version: 1\n        package: new:one\n");
  });
});
