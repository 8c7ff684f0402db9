import { execFile } from "node:child_process";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DeployedService, startDeployedService } from "./deployed-service.ts";
import { scaleModel } from "./models.ts";
import { scalePackage } from "./packages.ts";

const bin = fileURLToPath(new URL("../../../tools/cli/bin/millrace.js", import.meta.url));
let deployed: DeployedService;
const packages = new Map<number, string>();

beforeAll(async () => {
  deployed = await startDeployedService();
  for (const factor of [3, 4, 5]) packages.set(factor, await deployed.push("scale", scalePackage(factor)));
  packages.set(9, await deployed.push("scale", scalePackage(9, scaleModel(9), 99)));
}, 60_000);

afterAll(() => deployed.close());

/** Runs the command against the service and its file. */
const millrace = async (...args: string[]) => {
  const outcome = await promisify(execFile)(
    process.execPath,
    ["--conditions=@millrace/source", bin, ...args, "--address", deployed.service.address],
    { env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined } },
  ).catch((error: { code: number; stdout: string; stderr: string }) => error);
  return { code: "code" in outcome ? outcome.code : 0, stdout: outcome.stdout, stderr: outcome.stderr };
};
const change = (...args: string[]) => millrace(...args, "--file", deployed.file, "--timeout", "20");
const text = () => readFileSync(deployed.file, "utf8");

describe("a version is rolled out", () => {
  test("by a canary, a promotion and a rollback; the file keeps its comments and its mode", async () => {
    writeFileSync(
      deployed.file,
      `# Of the team.\ndeployments:\n  - model: scale # by ten\n    versions:\n      - { version: 3, package: "${packages.get(3)}" }\n`,
    );
    chmodSync(deployed.file, 0o640);
    const canary = await change("deploy", "scale", packages.get(4) ?? "", "--weight", "10");
    expect(canary).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^scale version 4 serves with 10 % of the/),
    });
    const dry = await change("promote", "scale", "4", "--dry-run");
    expect(dry.stdout.split("\n").filter((line) => /^[-+]/.test(line))).toEqual([
      `-       - { version: 3, package: "${packages.get(3)}", weight: 90 }`,
      `-       - { version: 4, package: ${packages.get(4)}, weight: 10 }`,
      `+       - { version: 3, package: "${packages.get(3)}", weight: 0 }`,
      `+       - { version: 4, package: ${packages.get(4)}, weight: 100 }`,
    ]);
    expect(text()).toContain("weight: 90");
    expect(text()).toContain("previousVersion: 3");
    expect(await change("promote", "scale", "4")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^scale version 4 serves with 100 % of the traffic: sha256:/),
    });
    expect(await change("rollback", "scale")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^scale version 3/),
    });
    expect(text()).toBe(
      `# Of the team.\ndeployments:\n  - model: scale # by ten\n    versions:\n      - { version: 3, package: "${packages.get(3)}", weight: 100 }\n      - { version: 4, package: ${packages.get(4)}, weight: 0 }\n`,
    );
    expect(statSync(deployed.file).mode & 0o777).toBe(0o640);
    expect(await change("rollback", "scale")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/nothing was promoted/),
    });
  }, 60_000);

  test("as a shadow, and is listed with its share, package and state", async () => {
    expect(await change("deploy", "scale", packages.get(5) ?? "", "--shadow", "--version", "5")).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^scale version 5 serves as a shadow/),
    });
    const { stdout } = await millrace("deployments");
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => line.split(/ {2,}/));
    expect(rows[0]).toEqual(["model", "version", "state", "share", "since", "package", "why"]);
    expect(rows.slice(1).map(([model, version, state, share]) => [model, version, state, share])).toEqual([
      ["scale", "3", "ready", "100 %"],
      ["scale", "4", "ready", "0 %"],
      ["scale", "5", "ready", "shadow"],
    ]);
  }, 60_000);
});

describe("a change that does not come in force", () => {
  test("because the version fails its check ends with the reason, and the file is put back", async () => {
    const before = text();
    const failed = await change("deploy", "scale", packages.get(9) ?? "", "--weight", "10", "--version", "9");
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/GOLDEN_MISMATCH.*expected 99/);
    expect(failed.stderr).toMatch(/was put back as it was/);
    expect(text()).toBe(before);
  }, 60_000);

  test("is left in the file where that is asked for", async () => {
    const before = text();
    const failed = await change("deploy", "scale", packages.get(9) ?? "", "--weight", "10", "--version", "9", "--keep");
    expect(failed.code).toBe(1);
    expect(text()).toContain("version: 9");
    const { stdout } = await millrace("deployments", "scale");
    expect(stdout).toMatch(/scale {2}9 +failed .*Golden example/);
    writeFileSync(deployed.file, before);
  }, 60_000);

  test("because someone else edits the file meanwhile says so, and leaves the file to them", async () => {
    const before = text();
    const other = `${before}# theirs\n`;
    const running = change("deploy", "scale", `later@sha256:${"0".repeat(64)}`, "--weight", "5");
    expect(await running).toMatchObject({ code: 1, stderr: expect.stringMatching(/PACKAGE_UNKNOWN/) });
    expect(text()).toBe(before);
    // A service that reads another file never tells of this one: there is time to edit it.
    const elsewhere = `${deployed.file}.elsewhere`;
    writeFileSync(elsewhere, before);
    const waiting = millrace("promote", "scale", "4", "--file", elsewhere, "--timeout", "3");
    while (readFileSync(elsewhere, "utf8") === before) await new Promise((resolve) => setTimeout(resolve, 20));
    writeFileSync(elsewhere, other);
    deployed.declare(`${before}# touched\n`);
    expect(await waiting).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/changed by someone else meanwhile/),
    });
    expect(readFileSync(elsewhere, "utf8")).toBe(other);
  }, 60_000);

  test("because the service reads another file says so when the time is over, and puts the file back", async () => {
    const elsewhere = `${deployed.file}.elsewhere`;
    const before = text();
    writeFileSync(elsewhere, before);
    const waited = await millrace("promote", "scale", "4", "--file", elsewhere, "--timeout", "3");
    expect(waited).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/After 3 s the service has not read the file/),
    });
    expect(readFileSync(elsewhere, "utf8")).toBe(before);
  }, 60_000);
});
