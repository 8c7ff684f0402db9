import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { create, toJsonString } from "@bufbuild/protobuf";
import { BaselineSchema, GoldenSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { GraphBuilder } from "@millrace/onnx";
import { afterAll, beforeEach, describe, expect, test } from "vitest";

const run = promisify(execFile);
const bin = join(import.meta.dirname, "../bin/millrace.js");
const root = mkdtempSync(join(tmpdir(), "millrace-cli-packages-"));
let folder = "";
let count = 0;

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `millrace package …` in the test's own folder. */
const millrace = async (words: string, environment: Record<string, string> = {}): Promise<Outcome> => {
  try {
    const words_ = ["--conditions=@millrace/source", bin, "package", ...words.split(" ")];
    const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, ...environment };
    return { code: 0, ...(await run(process.execPath, words_, { cwd: folder, env })) };
  } catch (error) {
    return error as Outcome;
  }
};
const succeed = async (words: string, environment: Record<string, string> = {}): Promise<string> => {
  const { code, stdout, stderr } = await millrace(words, environment);
  expect({ code, stderr }, words).toEqual({ code: 0, stderr: "" });
  return stdout;
};

const at = (name: string): string => join(folder, name);
const digestForm = /sha256:[0-9a-f]{64}/;
const digestIn = (text: string): string => digestForm.exec(text)?.[0] ?? "";

/** y = 2 x. */
const model = (): Uint8Array => {
  const graph = new GraphBuilder("double");
  const x = graph.input("x", "FP32", ["rows", 1]);
  graph.output("y", graph.node("Mul", [x, graph.constant("FP32", Float32Array.of(2), [1])]), "FP32", ["rows", 1]);
  return graph.toBytes();
};

beforeEach(() => {
  count += 1;
  folder = join(root, String(count));
  mkdirSync(join(folder, "double"), { recursive: true });
  writeFileSync(at("double/model.onnx"), model());
});
afterAll(() => rmSync(root, { recursive: true }));

describe("millrace package", { timeout: 60_000 }, () => {
  test("says what a package came from, and which packages came from something", async () => {
    const store = { MILLRACE_MODEL_STORE_URL: "oci:./models" };
    const manifest = {
      name: "double",
      lineage: {
        specName: "delay",
        specHash: "5f",
        datasetSnapshotId: "files-12ab",
        seed: "7",
        parameters: { l2: 0.5 },
      },
      features: {
        featureService: "delay_v1",
        featureServiceVersion: "3",
        inputs: [
          { feature: "airport__delay", input: "x", featureView: "airport", source: "arrivals", owner: "ops@x.org" },
        ],
      },
    };
    writeFileSync(at("double/millrace.json"), JSON.stringify(manifest));
    const digest = digestIn(await succeed("push ./double oci:./models/double:one"));
    rmSync(at("double/millrace.json"));
    await succeed("push ./double oci:./models/plain:one");
    const told = await succeed("lineage double:one", store);
    expect(told.split("\n").map((line) => line.trim().replaceAll(/ {2,}/g, " | "))).toEqual([
      "from",
      `package | double@${digest}`,
      "spec | delay 5f",
      "seed | 7",
      "parameters | l2 0.5",
      "dataset | files-12ab",
      "rows | 0 to train, 0 to validate, 0 to test",
      "feature service | delay_v1@3",
      "",
      "feature | view | source | owner",
      "airport__delay | airport | arrivals | ops@x.org",
      "",
    ]);
    const expected = [{ package: `double@${digest}`, tags: ["one"], reads: ["airport__delay"] }];
    for (const words of [
      "--dataset files-12",
      "--feature-view airport",
      "--source arrivals",
      "--feature-service delay_v1",
      "--feature-service delay_v1@3 --source arrivals",
    ]) {
      expect(JSON.parse(await succeed(`using ${words} --json`, store)), words).toEqual(expected);
    }
    for (const words of ["--dataset x", "--feature-view arrivals", "--feature-service delay_v1@2"]) {
      expect(await succeed(`using ${words}`, store)).toBe("No package with a tag came from it.\n");
    }
    expect(await millrace("using", store)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("expects --dataset"),
    });
  });

  test("promotes with a record, tells what a tag meant when, and rolls back", async () => {
    const store = { MILLRACE_MODEL_STORE_URL: "oci:./models" };
    await succeed("push ./double oci:./models/double:one");
    writeFileSync(at("double/README.md"), "# another");
    await succeed("push ./double oci:./models/double:two");
    const one = digestIn(await succeed("promote double:one production --reason first --by ada", store));
    const between = new Date().toISOString();
    const told = await succeed("promote double:two production --reason better --by bob", store);
    expect(told).toMatch(new RegExp(`^double:production is sha256:.*, before ${one}, by bob at 20`));
    const rows = (await succeed("history double:production", store)).trim().split("\n");
    expect(rows.map((row) => row.split(/ {2,}/).slice(2))).toEqual([
      ["by", "reason", "gates"],
      ["bob", "better", "none"],
      ["ada", "first", "none"],
    ]);
    expect(digestIn(await succeed(`history double:production --at ${between}`, store))).toBe(one);
    expect(await succeed("history double:production --at 2001-01-01", store)).toBe(
      "double:production has no record of what it meant at 2001-01-01.\n",
    );
    expect(digestIn(await succeed("rollback double:production --reason late", store))).toBe(one);
    const json: { to: string; reason: string }[] = JSON.parse(await succeed("history double:production --json", store));
    expect(json.map(({ reason }) => reason)).toEqual(["late", "better", "first"]);
    expect(await millrace("history double", store)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("names no tag"),
    });
    expect(await millrace("rollback double:one --reason x", store)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("has no promotion with a package before it"),
    });
  });

  test("makes a package of a bare ONNX file, which says its inputs and outputs by itself", async () => {
    const pushed = await succeed("push double/model.onnx oci:./models/double:v1");
    expect(pushed).toMatch(/^double@sha256:[0-9a-f]{64} {2}v1\n$/);
    const shown = await succeed("show oci:./models/double:v1");
    expect(shown).toContain(digestIn(pushed));
    expect(shown).toMatch(/model +double\n/);
    expect(shown).toMatch(/model\.onnx +\d+ B +sha256:/);
    expect(shown).toMatch(/input +x +FP32 +\[-1, 1\]\noutput +y +FP32 +\[-1, 1\]/);
    const store = { MILLRACE_MODEL_STORE_URL: "oci:./models" };
    expect(JSON.parse(await succeed("show double:v1 --json", store))).toMatchObject({
      name: "double",
      signature: { inputs: [{ name: "x", datatype: "FP32" }] },
    });
    await succeed(`tag double@${digestIn(pushed)} production --store oci:./models`);
    expect(await succeed("tags double", store)).toMatch(/^tag +digest\nproduction +(\S+)\nv1 +\1\n$/);
  });

  test("makes the same package of a folder that it wrote itself", async () => {
    writeFileSync(at("double/millrace.json"), JSON.stringify({ name: "double", description: "Twice as much." }));
    writeFileSync(
      at("double/golden.json"),
      toJsonString(GoldenSchema, create(GoldenSchema, { absoluteTolerance: 0.5 })),
    );
    writeFileSync(
      at("double/baseline.json"),
      toJsonString(BaselineSchema, create(BaselineSchema, { timeZone: "UTC" })),
    );
    writeFileSync(at("double/README.md"), "# double\n");
    writeFileSync(at("double/notes.txt"), "not for others");
    const pushed = await succeed("push double oci:./models/team/double:v1");
    expect(pushed).toContain("not in the package: notes.txt");
    await succeed("pull oci:./models/team/double:v1 pulled/double");
    const files = ["README.md", "baseline.binpb", "golden.binpb", "millrace.json", "model.onnx"];
    expect(readdirSync(at("pulled/double")).sort()).toEqual(files);
    expect(readdirSync(at("pulled"))).toEqual(["double"]);
    expect(readFileSync(at("pulled/double/README.md"), "utf8")).toBe("# double\n");
    const again = JSON.parse(await succeed("push pulled/double oci:./others/double --json"));
    expect(again).toEqual({ repository: "double", digest: digestIn(pushed) });
  });

  test("writes the container image of a package", async () => {
    const pushed = JSON.parse(await succeed("push double oci:./models/double:v1 --as-image --json"));
    expect(pushed).toMatchObject({ tag: "v1", image: { tag: "v1-image" } });
    const again = await succeed("image oci:./models/double:v1 --tag served");
    expect(again).toBe(`double@${pushed.image.digest}  served\nof the package ${pushed.digest}\n`);
    const onBase = await succeed("image oci:./models/double:v1 --tag based --base oci:./models/double:served");
    expect(digestIn(onBase)).not.toBe(pushed.image.digest);
    expect(onBase).toContain(`of the package ${pushed.digest}`);
    expect(await succeed("tags oci:./models/double")).toMatch(/based .*\nserved .*\nv1 .*\nv1-image /);
    const absent = await millrace("image oci:./models/double:v1 --base oci:./models/shell:1");
    expect(absent).toMatchObject({ code: 1, stderr: expect.stringContaining("PACKAGE_UNKNOWN") });
  });

  test("signs a package and says whose signature holds", async () => {
    const pushed = await succeed("push double oci:./models/double:v1");
    writeFileSync(at("password"), "open sesame\n");
    expect(await succeed("keygen release --password-file password")).toBe("release.key (encrypted), release.pub\n");
    expect(await succeed("keygen other")).toContain("without a password");
    expect(statSync(at("release.key")).mode & 0o777).toBe(0o600);
    const unsigned = await millrace("verify oci:./models/double:v1 --key release.pub");
    expect(unsigned.code).toBe(1);
    expect(unsigned.stderr).toMatch(/SIGNATURE_INVALID.*it has no signature/);
    await succeed("sign oci:./models/double:v1 --key release.key", { MILLRACE_SIGNING_PASSWORD: "open sesame" });
    const verified = await succeed("verify oci:./models/double:v1 --key other.pub --key release.pub");
    expect(verified).toMatch(/^double@(\S+) is signed by release\.pub: sha256:/);
    expect(digestIn(verified)).toBe(digestIn(pushed));
    const other = await millrace("verify oci:./models/double:v1 --key other.pub");
    expect(other.code).toBe(1);
    expect(other.stderr).toContain("is by another key");
    const replaced = await millrace("keygen release");
    expect(replaced).toMatchObject({ code: 1, stderr: expect.stringContaining("release.key is there already") });
  });

  test("says what is wrong, and writes nothing then", async () => {
    writeFileSync(at("empty"), "\n");
    const cases: [words: string, code: number, text: RegExp][] = [
      ["push absent oci:./models/none:v1", 1, /FOLDER_UNUSABLE.*absent cannot be used: ENOENT/],
      [`push double oci:./models/none@sha256:${"0".repeat(64)}`, 2, /gets its digest from its content/],
      [`push double oci:./models/none:v1@sha256:${"0".repeat(64)}`, 2, /gets its digest from its content/],
      [`image oci:./models/none:v1@sha256:${"0".repeat(64)}`, 2, /both a tag and a digest/],
      ["keygen release --password-file empty", 2, /password file empty is empty/],
      ["push double none:v1", 2, /names no store/],
      ["pull oci:./models/double:v2 pulled", 1, /PACKAGE_UNKNOWN/],
      ["sign oci:./models/double:v1 --key absent.key", 1, /absent\.key cannot be read: ENOENT/],
      ["verify oci:./models/double:v1", 2, /at least one public key/],
    ];
    for (const [words, code, text] of cases) {
      const outcome = await millrace(words);
      expect(outcome.stderr, words).toMatch(text);
      expect(outcome.code, words).toBe(code);
      expect(outcome.stderr, words).not.toMatch(/^\s+at /m);
    }
    expect(readdirSync(folder)).toEqual(["double", "empty"]);
  });
});
