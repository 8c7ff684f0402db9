import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkSettingNames } from "./check-setting-names.ts";

const root = mkdtempSync(join(tmpdir(), "millrace-settings-"));
for (const [path, text] of [
  ["services/training/src/settings.ts", "export const settings = {\n  stateUrl: setting(\n};"],
  ["libs/service-host/src/host-settings.ts", "({\n  grpcPort: setting(port, ''),\n})"],
] as const) {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), text);
}
afterAll(() => rmSync(root, { recursive: true }));

const compose = (...names: string[]) => ({
  services: {
    training: { build: {}, environment: Object.fromEntries(names.map((name) => [name, "x"])) },
    redis: { image: "redis", environment: { MILLRACE_ANY: "x" } },
  },
});

test("settings of the service and of the host are known, and other variables are left alone", () => {
  expect(checkSettingNames(root, [compose("MILLRACE_STATE_URL", "MILLRACE_GRPC_PORT", "PATH"), null])).toBeUndefined();
});

test("a variable that the service would refuse is named, in compose files and in pods", () => {
  const problem = "training: MILLRACE_STATE_URI is set here, and the service has no such setting: it would not start";
  const container = { name: "training", env: [{ name: "MILLRACE_STATE_URI", value: "x" }] };
  expect(checkSettingNames(root, [compose("MILLRACE_STATE_URI")])).toBe(problem);
  expect(
    checkSettingNames(root, [{ kind: "Deployment", spec: { template: { spec: { containers: [container] } } } }]),
  ).toBe(problem);
});

test("a service without settings is named", () => {
  const [service] = Object.values(compose("MILLRACE_STATE_URL").services);
  expect(checkSettingNames(root, [{ services: { other: service } }])).toContain("services/other/src/settings.ts");
});
