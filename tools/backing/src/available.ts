import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { kafkaLibrary } from "./kafka.ts";
import { postgresPrograms } from "./postgres.ts";

export type BackingName = "redis" | "kafka" | "registry" | "postgres" | "prometheus";

const runs = (command: string, argument: string): boolean => {
  try {
    execFileSync(command, [argument], { stdio: "ignore" });
    return true;
  } catch {
    // Not installed: that is the answer.
    return false;
  }
};

/** Whether a server can be started on this machine; else the sentence that says what is missing. */
export const available = (name: BackingName): true | string => {
  if (name === "redis")
    return runs("redis-server", "--version") || "redis-server is not installed (npx nx run backing:install)";
  if (name === "registry")
    return runs("docker-registry", "--version") || "docker-registry is not installed (npx nx run backing:install)";
  if (name === "prometheus")
    return runs("promtool", "--version") || "promtool is not installed (npx nx run backing:install)";
  if (name === "postgres") {
    const isHere = runs(join(postgresPrograms(), "postgres"), "--version");
    return isHere || "postgres is not installed (npx nx run backing:install)";
  }
  if (!runs("java", "-version")) return "java is not installed; Kafka needs Java 17 or newer";
  const jars = existsSync(kafkaLibrary) ? readdirSync(kafkaLibrary).length : 0;
  return jars > 0 || "the jars of Kafka are not installed (npx nx run backing:install)";
};

/**
 * For tests against real servers: true where all are there. Elsewhere false, so that the tests are skipped by name, and an
 * error where CI is set, because a gate that skips is no gate.
 */
export const hasBacking = (...names: readonly BackingName[]): boolean => {
  const missing = names.map(available).filter((answer) => answer !== true);
  if (missing.length > 0 && process.env.CI) throw new Error(`These tests need real servers: ${missing.join("; ")}`);
  return missing.length === 0;
};
