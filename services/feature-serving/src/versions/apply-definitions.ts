import { type AppliedDefinitions, assembleDefinitions } from "../applied-definitions.ts";
import type { Catalogue } from "../catalogue.ts";
import { type Registry, RegistryConflictError } from "../registry.ts";
import { definitionsOf } from "../registry-head.ts";
import { headAfterApply, type NextDefinitions, type NextHead } from "./next-head.ts";

/**
 * Writes definitions over those that they were planned against. @returns the registry's new version.
 * @throws RegistryConflictError where somebody else applied definitions in the meantime.
 */
export async function applyDefinitions(
  { registry, catalogue }: { readonly registry: Registry; readonly catalogue: Catalogue },
  planned: AppliedDefinitions | undefined,
  next: NextDefinitions,
): Promise<number> {
  let before = planned;
  for (;;) {
    const { head, stored } = headAfterApply(before, next);
    checkThatItPlans(before, next, { head, stored });
    if (await registry.replace(before, head, stored)) return head.registryVersion;
    await catalogue.refresh();
    // A view that became visible, or a version that was dropped, replaces the head too, and hinders no Apply.
    if (catalogue.current?.registryVersion !== planned?.registryVersion) {
      throw new RegistryConflictError(planned?.registryVersion ?? 0, catalogue.current?.registryVersion ?? 0);
    }
    before = catalogue.current;
  }
}

/** Definitions that cannot be planned must not be written: no process could take them. */
function checkThatItPlans(before: AppliedDefinitions | undefined, next: NextDefinitions, { head }: NextHead): void {
  const alone = { ...head, kept: [], filling: [], answering: {} };
  const loaded = new Map([...definitionsOf(alone)].map((hash) => [hash, next]));
  assembleDefinitions({ head: alone, entryVersion: before?.entryVersion ?? 0 }, loaded);
}
