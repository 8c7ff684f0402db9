import type { DeployedVersion, Deployment } from "@millrace/contracts/millrace/inference/v1/deployment";
import type { FieldViolation } from "@millrace/errors";
import type { TrafficRules } from "../serving/traffic-rules.ts";

/**
 * Who answers, by what a deployment says of its versions.
 *
 * A version that neither is a shadow nor has a weight of 0 beside a header answers calls without a header; where there
 * is one such version alone, it needs no weight.
 * @param field path of the deployment. @param violations is added to, for every rule that is broken.
 */
export const declaredTraffic = (
  { versions, sticky }: Deployment,
  field: string,
  violations: FieldViolation[],
): TrafficRules => {
  const refuse = (name: string, expected: string, got: string) =>
    violations.push({ field: `${field}.${name}`, expected, got });
  const seen = new Set<bigint>();
  for (const [index, { version, weight, shadow }] of versions.entries()) {
    if (seen.has(version)) {
      refuse(`versions[${index}].version`, "a version that no other of the deployment has", String(version));
    }
    seen.add(version);
    if (shadow && weight > 0) {
      refuse(`versions[${index}].weight`, "0: a shadow gets copies, and answers no calls", String(weight));
    }
  }
  if (sticky !== undefined && sticky.key.case === undefined) {
    refuse("sticky", "header, parameter or entity", "none of them");
  }
  return {
    weights: weightsOf(versions, field, violations),
    headers: headersOf(versions, field, violations),
    sticky: stickyOf(sticky?.key),
    shadows: versions.filter(({ shadow }) => shadow).map(({ version }) => String(version)),
  };
};

const weightsOf = (
  versions: readonly DeployedVersion[],
  field: string,
  violations: FieldViolation[],
): Map<string, number> => {
  const candidates = versions.filter(
    ({ shadow, header, weight }) => !shadow && (weight > 0 || header === "" || versions.length === 1),
  );
  if (candidates.length === 0 && versions.length > 0) {
    const expected = "a version that answers calls without a header";
    violations.push({ field: `${field}.versions`, expected, got: "shadows and versions by header alone" });
  }
  const [lone] = candidates;
  if (candidates.length === 1 && lone !== undefined) return new Map([[String(lone.version), lone.weight || 1]]);
  if (candidates.length > 1 && candidates.every(({ weight }) => weight === 0)) {
    const expected = "a weight above 0 for at least one of several versions";
    violations.push({ field: `${field}.versions`, expected, got: `${candidates.length} versions without weight` });
  }
  return new Map(candidates.map(({ version, weight }) => [String(version), weight]));
};

/** `name` or `name: value`. */
const headerForm = /^([a-z0-9_.-]+)(?::\s*(.*?))?\s*$/i;

const headersOf = (
  versions: readonly DeployedVersion[],
  field: string,
  violations: FieldViolation[],
): TrafficRules["headers"] => {
  const seen = new Map<string, bigint>();
  return versions.flatMap(({ version, header }, index) => {
    if (header === "") return [];
    const [, written = "", value] = headerForm.exec(header) ?? [];
    const name = written.toLowerCase();
    const at = `${field}.versions[${index}].header`;
    if (name === "" || name.endsWith("-bin")) {
      violations.push({ field: at, expected: "the name of a text header, or `name: value`", got: header });
      return [];
    }
    const rule = value === undefined ? name : `${name}: ${value}`;
    const other = seen.get(rule);
    if (other !== undefined) {
      violations.push({ field: at, expected: `a header that version ${other} does not have`, got: rule });
    }
    seen.set(rule, version);
    return { name, value, version: String(version) };
  });
};

const stickyOf = (key: NonNullable<Deployment["sticky"]>["key"] | undefined): TrafficRules["sticky"] =>
  key?.case === undefined
    ? undefined
    : { from: key.case, name: key.case === "header" ? key.value.toLowerCase() : key.value };
