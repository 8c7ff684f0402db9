import type { ArtifactStore } from "../artifact-store.ts";
import type { Descriptor } from "../descriptor.ts";
import { formatPackageReference } from "../package-reference.ts";
import { type Promotion, type PromotionGate, promotionsOf, writePromotion } from "./promotion.ts";
import { PromotionRefusedError } from "./promotion-refused-error.ts";

export interface PromotionOrder {
  readonly tag: string;
  readonly by: string;
  readonly reason: string;
  /** Promotes a package whose gates were not passed, too; the record says so. */
  readonly despiteGates?: boolean;
}

/**
 * Writes the record of a promotion, then moves the tag. Where the tag means the package already, its newest record is
 * answered and nothing is written: a call that is made again does no harm. Registries have no compare-and-set for tags:
 * the tag is looked at once more just before it is moved, so that of two promotions at the same moment one is refused,
 * but for those within that instant.
 * @throws PromotionRefusedError
 */
export const promote = async (
  artifacts: ArtifactStore,
  repository: string,
  subject: { readonly descriptor: Descriptor; readonly bytes: Uint8Array },
  gates: readonly PromotionGate[],
  { tag, by, reason, despiteGates = false }: PromotionOrder,
  now: Date,
  signal?: AbortSignal,
): Promise<Promotion> => {
  const to = subject.descriptor.digest;
  const name = formatPackageReference({ repository, digest: to });
  const failed = gates.filter(({ passed }) => !passed);
  if (failed.length > 0 && !despiteGates) {
    const rules = failed.map(({ rule, value }) => `${rule}, it is ${value.toPrecision(4)}`).join("; ");
    throw new PromotionRefusedError(name, tag, `its gates were not passed: ${rules}`);
  }
  const from = await artifacts.resolveTag(repository, tag, signal);
  const [last] = await promotionsOf(artifacts, repository, to, tag, signal);
  if (from === to && last !== undefined) return last;
  const [before] = from === undefined ? [] : await promotionsOf(artifacts, repository, from, tag, signal);
  // Clocks differ between machines; a history that goes back in time would be read wrongly.
  const knownMs = [before, last].map((promotion) => promotion?.at.getTime() ?? 0);
  const at = new Date(Math.max(now.getTime(), ...knownMs.map((ms) => ms + 1)));
  const promotion = { tag, from: from === to ? undefined : from, to, by, at, reason, gates };
  await writePromotion(artifacts, repository, subject.descriptor, promotion, signal);
  const meanwhile = await artifacts.resolveTag(repository, tag, signal);
  if (meanwhile !== from) {
    throw new PromotionRefusedError(name, tag, `the tag was moved to ${meanwhile ?? "nothing"} meanwhile`, true);
  }
  await artifacts.writeManifest(repository, subject, [tag], signal);
  return promotion;
};

const longestHistory = 10_000;

/**
 * How a tag came to what it means now, the newest first: from each package's newest record before the one after it, back
 * to the first. Records of promotions that were refused at the last moment are not on that way. A tag that was moved
 * otherwise, without a record, ends it.
 */
export const promotionHistory = async (
  artifacts: ArtifactStore,
  repository: string,
  tag: string,
  signal?: AbortSignal,
): Promise<Promotion[]> => {
  const history: Promotion[] = [];
  let digest = await artifacts.resolveTag(repository, tag, signal);
  let beforeMs = Number.POSITIVE_INFINITY;
  while (digest !== undefined && history.length < longestHistory) {
    const known = await promotionsOf(artifacts, repository, digest, tag, signal);
    const promotion = known.find(({ at }) => at.getTime() < beforeMs);
    if (promotion === undefined) return history;
    history.push(promotion);
    beforeMs = promotion.at.getTime();
    digest = promotion.from;
  }
  return history;
};
