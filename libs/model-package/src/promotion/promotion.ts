import type { ArtifactStore } from "../artifact-store.ts";
import type { Json } from "../canonical-json.ts";
import type { Descriptor } from "../descriptor.ts";
import { type Digest, isDigest } from "../digest.ts";
import { annotations, mediaTypes } from "../media-types.ts";
import { PackageCorruptError } from "../package-corrupt-error.ts";
import { PackageTooLargeError } from "../package-too-large-error.ts";
import { parseObject } from "../parse-object.ts";
import { attachReferrer, readReferrer } from "../referrer.ts";

/** That a tag was moved to a package: a record beside the package, which is never changed. */
export interface Promotion {
  readonly tag: string;
  /** What the tag meant before; undefined for the first. */
  readonly from: Digest | undefined;
  readonly to: Digest;
  /** Who or what promoted it: a person, a pipeline. */
  readonly by: string;
  readonly at: Date;
  readonly reason: string;
  /** What the package's gates said. */
  readonly gates: readonly PromotionGate[];
}

export interface PromotionGate {
  readonly rule: string;
  readonly value: number;
  readonly passed: boolean;
}

const recordLimitBytes = 256 * 1024;
/** Whoever may push may add records; more of one package than these are not read. */
const recordsLimit = 1024;

/** Writes a promotion beside the package that it is of. */
export const writePromotion = (
  artifacts: ArtifactStore,
  repository: string,
  subject: Descriptor,
  promotion: Promotion,
  signal?: AbortSignal,
): Promise<Digest> => {
  const { tag, from, to, by, at, reason, gates } = promotion;
  const value: Json = {
    tag,
    from: from ?? null,
    to,
    by,
    at: at.toISOString(),
    reason,
    // JSON has no word for what is no number; the text is that of protobuf's mapping.
    gates: gates.map(({ rule, value: measured, passed }) => ({
      rule,
      value: Number.isFinite(measured) ? measured : String(measured),
      passed,
    })),
  };
  const notes = { [annotations.created]: at.toISOString() };
  return attachReferrer(
    artifacts,
    repository,
    subject,
    { mediaType: mediaTypes.promotion, value, annotations: notes },
    signal,
  );
};

/** The promotions of one package to one tag, the newest first. What is no record of ours is passed over. */
export const promotionsOf = async (
  artifacts: ArtifactStore,
  repository: string,
  digest: Digest,
  tag: string,
  signal?: AbortSignal,
): Promise<Promotion[]> => {
  const found = await artifacts.referrers(repository, digest, mediaTypes.promotion, signal);
  const promotions: Promotion[] = [];
  for (const referrer of found.slice(0, recordsLimit)) {
    const promotion = await readPromotion(artifacts, repository, digest, referrer.digest, signal);
    if (promotion?.tag === tag) promotions.push(promotion);
  }
  return promotions.sort((a, b) => b.at.getTime() - a.at.getTime());
};

const readPromotion = async (
  artifacts: ArtifactStore,
  repository: string,
  digest: Digest,
  referrer: Digest,
  signal: AbortSignal | undefined,
): Promise<Promotion | undefined> => {
  try {
    const bytes = await readReferrer(
      artifacts,
      repository,
      digest,
      referrer,
      mediaTypes.promotion,
      recordLimitBytes,
      signal,
    );
    return typeof bytes === "string" ? undefined : decode(parseObject(bytes), digest);
  } catch (error) {
    // One broken record must not hide the others.
    if (error instanceof PackageCorruptError || error instanceof PackageTooLargeError) return undefined;
    throw error;
  }
};

const decode = (record: Readonly<Record<string, unknown>> | undefined, digest: Digest): Promotion | undefined => {
  if (record === undefined) return undefined;
  const { tag, from, to, by, at, reason, gates } = record;
  const time = new Date(typeof at === "string" ? at : Number.NaN);
  if (typeof tag !== "string" || to !== digest || typeof by !== "string" || typeof reason !== "string")
    return undefined;
  if (Number.isNaN(time.getTime()) || !Array.isArray(gates)) return undefined;
  if (from !== null && !(typeof from === "string" && isDigest(from))) return undefined;
  return { tag, from: from ?? undefined, to: digest, by, at: time, reason, gates: gates.flatMap(decodeGate) };
};

const decodeGate = (gate: unknown): PromotionGate[] => {
  if (typeof gate !== "object" || gate === null) return [];
  const { rule, value, passed } = gate as Readonly<Record<string, unknown>>;
  const measured = typeof value === "number" ? value : typeof value === "string" ? Number(value) : undefined;
  return typeof rule === "string" && measured !== undefined && typeof passed === "boolean"
    ? [{ rule, value: measured, passed }]
    : [];
};
