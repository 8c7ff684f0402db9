import type { DeployedVersion } from "@millrace/contracts/millrace/inference/v1/deployment";
import { MillraceError, Reason } from "@millrace/errors";
import type { DeclarationDocument } from "./declaration-document.ts";

/** Thrown when a change of traffic has nothing to begin with: no such version, or none to go back to. */
export class TrafficChangeError extends MillraceError {
  constructor(message: string) {
    super("FAILED_PRECONDITION", Reason.DECLARATION_INVALID, message);
  }
}

/**
 * Gives a version a share of a model's traffic: all of it, or so many percent, where the others keep theirs relative to
 * each other. It is no shadow any more, and with all traffic it needs no header. The version that had most before is
 * noted as the one that a rollback goes to.
 * @param percent from 0 to 100. @throws TrafficChangeError
 */
export const promote = (document: DeclarationDocument, model: string, version: bigint, percent = 100): void => {
  const versions = versionsOf(document, model);
  if (!versions.some((declared) => declared.version === version)) {
    const known = versions.map((declared) => declared.version).join(", ");
    throw new TrafficChangeError(
      `Version ${version} of ${model} is not declared; declared are ${known}. Declare it with: millrace deploy ${model} <package> --version ${version} --weight 0`,
    );
  }
  const leader = heaviest(othersWithTraffic(versions, version));
  share(document, model, version, percent, versions);
  document.setVersion(model, version, percent === 100 ? { shadow: null, header: null } : { shadow: null });
  if (leader !== undefined && percent > 0) document.setPreviousVersion(model, leader.version);
};

/** Gives all traffic back to the version that had it before the last promotion. @returns that version. */
export const rollBack = (document: DeclarationDocument, model: string): bigint => {
  const versions = versionsOf(document, model);
  const previous = document.previousVersion(model);
  if (previous === 0n) {
    throw new TrafficChangeError(`${model} has no previousVersion: nothing was promoted since the last rollback.`);
  }
  if (!versions.some(({ version }) => version === previous)) {
    throw new TrafficChangeError(
      `Version ${previous} of ${model}, which had the traffic before, is not declared any more; declared are ${versions.map(({ version }) => version).join(", ")}.`,
    );
  }
  promote(document, model, previous);
  document.setPreviousVersion(model, undefined);
  return previous;
};

/** What a further version gets. */
export interface AddedVersion {
  readonly version: bigint;
  readonly package: string;
  /** Percent of the traffic. */
  readonly percent: number;
  readonly shadow: boolean;
  readonly header: string | undefined;
}

/**
 * Declares a further version beside those that are there. Where it gets a share, a rollback gives that back.
 * @throws TrafficChangeError where there is none to share with.
 */
export const addVersion = (document: DeclarationDocument, model: string, added: AddedVersion): void => {
  const { version, package: reference, percent, shadow, header } = added;
  const versions = versionsOf(document, model);
  const leader = heaviest(othersWithTraffic(versions, version));
  document.setVersion(model, version, { package: reference, shadow: shadow ? true : null, header: header ?? null });
  share(document, model, version, percent, versions);
  if (shadow) document.setVersion(model, version, { weight: null });
  if (leader !== undefined && percent > 0) document.setPreviousVersion(model, leader.version);
};

/** Declares a version in place of those that are there. */
export const replaceVersions = (
  document: DeclarationDocument,
  model: string,
  version: bigint,
  reference: string,
): void => {
  document.clearVersions(model);
  document.setVersion(model, version, { package: reference });
  if (document.previousVersion(model) !== 0n) document.setPreviousVersion(model, undefined);
};

const versionsOf = (document: DeclarationDocument, model: string): readonly DeployedVersion[] => {
  const versions = document.versions(model);
  if (versions === undefined) throw new TrafficChangeError(`${model} is not declared.`);
  if (versions.length === 0) throw new TrafficChangeError(`${model} has no versions: it is a pipeline.`);
  return versions;
};

/** The versions but one that calls without a header may reach; a version that is the only such one needs no weight. */
const othersWithTraffic = (versions: readonly DeployedVersion[], version: bigint): readonly DeployedVersion[] => {
  const candidates = versions.filter(({ shadow, header, weight }) => !shadow && (weight > 0 || header === ""));
  const answering = candidates.length === 1 ? candidates : candidates.filter(({ weight }) => weight > 0);
  return answering.filter((declared) => declared.version !== version);
};

const heaviest = (versions: readonly DeployedVersion[]): DeployedVersion | undefined =>
  versions.reduce<DeployedVersion | undefined>(
    (most, one) => (most === undefined || one.weight > most.weight ? one : most),
    undefined,
  );

/** Writes the weights by which a version has so many percent, and the others keep theirs relative to each other. */
const share = (
  document: DeclarationDocument,
  model: string,
  version: bigint,
  percent: number,
  versions: readonly DeployedVersion[],
): void => {
  const sharing = othersWithTraffic(versions, version);
  if (sharing.length === 0 && percent < 100) {
    throw new TrafficChangeError(`${model} has no other version with traffic, to have the rest of it.`);
  }
  const weights = new Map(sharing.map((declared) => [declared.version, (declared.weight || 1) * (100 - percent)]));
  const total = sum([...weights.values()]);
  // With others of weight w in all, percent × w against (100 - percent) × w. Percents where they come out whole.
  weights.set(version, percent === 100 ? 100 : (percent * total) / (100 - percent));
  const scaled = wholeWeights(weights);
  for (const other of versions) {
    if (other.version === version || other.shadow) continue;
    const weight = percent === 100 ? 0 : (scaled.get(other.version) ?? 0);
    if (weight > 0 || other.header === "" || other.weight > 0) document.setVersion(model, other.version, { weight });
  }
  document.setVersion(model, version, { weight: percent === 100 ? 100 : (scaled.get(version) ?? 0) });
};

/** Weights of the same ratio: percents where all come out whole, else the smallest whole numbers. */
const wholeWeights = (weights: ReadonlyMap<bigint, number>): Map<bigint, number> => {
  const values = [...weights.values()].map(Math.round);
  const total = sum(values);
  const percents = values.map((value) => (100 * value) / total);
  const divisor = percents.every(Number.isInteger) ? total / 100 : values.reduce(greatestDivisor, 0);
  return new Map([...weights].map(([version, value]) => [version, Math.round(Math.round(value) / divisor)]));
};

const greatestDivisor = (one: number, other: number): number =>
  other === 0 ? one : greatestDivisor(other, one % other);

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
