import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Compares the MILLRACE_ variables that the compose file and the chart set with the settings that the services declare:
 * a service refuses to start on one that it does not know.
 *
 * @param documents parsed YAML: compose files and Kubernetes objects.
 * @returns undefined where all are known, else one line for each that is not.
 */
export const checkSettingNames = (root: string, documents: readonly unknown[]): string | undefined => {
  const problems = new Set<string>();
  for (const { service, names } of documents.flatMap(variablesOf)) {
    const path = join(root, "services", service, "src/settings.ts");
    if (!existsSync(path)) {
      problems.add(`${service}: there is no services/${service}/src/settings.ts to compare with`);
      continue;
    }
    const known = new Set([path, join(root, "libs/service-host/src/host-settings.ts")].flatMap(settingsIn));
    for (const name of names.filter((variable) => variable.startsWith("MILLRACE_") && !known.has(variable))) {
      problems.add(`${service}: ${name} is set here, and the service has no such setting: it would not start`);
    }
  }
  return problems.size === 0 ? undefined : [...problems].join("\n");
};

/** The environment names of the settings that a file declares: `onlineStoreUrl: setting(` is MILLRACE_ONLINE_STORE_URL. */
const settingsIn = (path: string): string[] =>
  [...readFileSync(path, "utf8").matchAll(/^\s*([a-z][A-Za-z0-9]*): setting\(/gm)].map(
    ([, key = ""]) => `MILLRACE_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
  );

interface Variables {
  readonly service: string;
  readonly names: readonly string[];
}

const variablesOf = (document: unknown): Variables[] => {
  const { kind, spec, services } = record(document);
  if (kind === "Deployment") {
    const containers = list(record(record(record(spec).template).spec).containers);
    return containers.map((container) => ({
      service: String(record(container).name),
      names: list(record(container).env).map((variable) => String(record(variable).name)),
    }));
  }
  return Object.entries(record(services))
    .filter(([, service]) => record(service).build !== undefined)
    .map(([service, settings]) => ({ service, names: Object.keys(record(record(settings).environment)) }));
};

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
