import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { hostSettings, readSettings, setting, settingsTable } from "./index.ts";

const settings = {
  grpcPort: setting(z.coerce.number().int().min(0).max(65535).default(8011), "Port of gRPC."),
  onlineStoreUrl: setting(z.string(), "Store of online features."),
  reflection: setting(z.stringbool().default(true), "Answers reflection."),
  role: setting(z.enum(["all", "serve", "stream"]).default("all"), "What this process does."),
  apiToken: setting(z.string().max(3).optional(), "A secret."),
};
const read = (environment: Record<string, string>, ...flags: string[]) =>
  readSettings(settings, { environment, arguments: flags });

describe("settings", () => {
  test("come from the environment, and a flag goes over it", () => {
    const config = read(
      { MILLRACE_ONLINE_STORE_URL: "lmdb:./a", MILLRACE_GRPC_PORT: "1", PATH: "/bin", MILLRACE_ROLE: "" },
      "--grpc-port",
      "2",
      "--reflection=false",
    );
    expect(config).toEqual({
      grpcPort: 2,
      onlineStoreUrl: "lmdb:./a",
      reflection: false,
      role: "all",
      apiToken: undefined,
    });
  });

  test("take a flag without a value as true", () => {
    expect(read({ MILLRACE_REFLECTION: "false" }, "--reflection", "--online-store-url", "x").reflection).toBe(true);
  });

  test("name every problem in one line", () => {
    const refused = () => read({ MILLRACE_GRPC_PRT: "1", MILLRACE_ROLE: "boss" }, "--grpc-port", "70000", "--verbose");
    expect(refused).toThrow(
      "MILLRACE_GRPC_PRT: expected a known setting (did you mean MILLRACE_GRPC_PORT?), got an unknown setting; " +
        "--verbose: expected a known setting, got an unknown flag; " +
        '--grpc-port: expected at most 65535, got "70000"; ' +
        "MILLRACE_ONLINE_STORE_URL or --online-store-url: expected a text, got nothing; " +
        'MILLRACE_ROLE: expected one of all, serve, stream, got "boss". --help lists all settings.',
    );
  });

  test("keep secrets out of the message", () => {
    const message = (environment: Record<string, string>): string => {
      try {
        read(environment);
      } catch (error) {
        return String(error);
      }
      throw new Error("The settings were taken.");
    };
    expect(message({ MILLRACE_API_TOKEN: "hush-hush" })).not.toContain("hush");
    expect(message({ MILLRACE_GRPC_PORT: "redis://user:hush@host" })).not.toContain("hush");
  });

  test("print a table with values, default and sentence", () => {
    const table = settingsTable(settings);
    expect(table).toContain(
      "| `MILLRACE_GRPC_PORT` | `--grpc-port` | whole number from 0 to 65535 | `8011` | Port of gRPC. |",
    );
    expect(table).toContain(
      "| `MILLRACE_ROLE` | `--role` | `all`, `serve`, `stream` | `all` | What this process does. |",
    );
    expect(table).toContain("| `MILLRACE_ONLINE_STORE_URL` | `--online-store-url` | text | required |");
    expect(table).toContain("| `MILLRACE_REFLECTION` | `--reflection` | `true`, `false` | `true` |");
  });
});

test("the README has the table of the settings that every service has", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  // The formatter pads cells and rules.
  const plain = (text: string) =>
    text.replace(/ +/g, " ").replace(/-+/g, "-").replaceAll("| - ", "|-").replaceAll("- |", "-|");
  expect(plain(readme)).toContain(plain(settingsTable(hostSettings({}))));
});
