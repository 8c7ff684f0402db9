import { setTimeout as sleep } from "node:timers/promises";
import type { EventLog } from "@millrace/event-log";
import type { Kv } from "@millrace/kv";
import type { AppliedDefinitions } from "../applied-definitions.ts";
import type { Catalogue } from "../catalogue.ts";
import type { Registry } from "../registry.ts";
import type { RegistryHead } from "../registry-head.ts";
import type { ProgressStore } from "../stream/progress.ts";
import { filledViews } from "./filled-views.ts";
import { headAfterFilled, headWithout } from "./next-head.ts";
import type { PackageBindings } from "./package-bindings.ts";
import type { VersionReads } from "./version-reads.ts";

export interface VersionKeeperOptions {
  readonly registry: Registry;
  readonly catalogue: Catalogue;
  readonly online: Kv;
  readonly log: EventLog;
  readonly progress: ProgressStore;
  readonly reads: VersionReads;
  /** Undefined where no model store is named: then packages keep nothing. */
  readonly packages: PackageBindings | undefined;
  /** How long a version that was asked for by its version is kept, in ms. */
  readonly retentionMs: number;
  /** The shortest life of a version that was replaced, in ms: within it processes tell what they read. */
  readonly leastKeptMs?: number;
  readonly nowMs?: () => number;
}

const fillingPollMs = 200;
const keptPollMs = 5_000;

/**
 * Lets view versions that have caught up answer, and lets go of older versions of feature services that nothing needs any
 * more. Every process runs one; compare-and-set on the registry makes what they do one thing.
 */
export class VersionKeeper {
  readonly #options: VersionKeeperOptions;
  readonly #nowMs: () => number;

  constructor(options: VersionKeeperOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Looks again and again until stopped. A look that fails is told, and tried again. */
  async run(signal: AbortSignal, onFailure: (error: unknown) => void): Promise<void> {
    let keptLookMs = 0;
    while (!signal.aborted) {
      await sleep(fillingPollMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) break;
      await this.settle().catch(onFailure);
      if (performance.now() - keptLookMs < keptPollMs) continue;
      keptLookMs = performance.now();
      await this.#options.reads.flush().catch(onFailure);
      await this.dropUnneeded().catch(onFailure);
    }
    await this.#options.reads.flush().catch(onFailure);
  }

  /** Makes view versions that have caught up visible, and the services that waited for them. */
  async settle(): Promise<void> {
    await this.#change(async (current) => {
      const filled = await filledViews(current, this.#options);
      return filled.size === 0 ? undefined : headAfterFilled(current, filled);
    });
  }

  /** Lets go of versions that neither a package nor a reader nor a view that fills needs. */
  async dropUnneeded(): Promise<void> {
    const dropped = new Set<string>();
    await this.#change(async (current) => {
      dropped.clear();
      if (current.head.kept.length === 0) return undefined;
      const leastKeptMs = this.#options.leastKeptMs ?? 10_000;
      const old = current.head.kept.filter(({ replacedAtMs }) => this.#nowMs() - replacedAtMs >= leastKeptMs);
      const unneeded = async (packagesFreshMs: number): Promise<string[]> => {
        const reasons = await this.keptBy(current, packagesFreshMs);
        const ids = old.map(({ service, version }) => `${service}@${version}`);
        return ids.filter((id) => (reasons.get(id) ?? []).length === 0);
      };
      if (old.length === 0 || (await unneeded(60_000)).length === 0) return undefined;
      // A package may have come since: what is dropped is dropped by what the store has now.
      for (const id of await unneeded(0)) dropped.add(id);
      return dropped.size === 0 ? undefined : headWithout(current, dropped);
    });
    for (const id of dropped) await this.#options.reads.forget(id);
  }

  /**
   * What keeps each kept version, for a person, by `service@version`.
   * @param packagesFreshMs how old what is known of packages may be, in ms. @throws what the model store throws.
   */
  async keptBy(current: AppliedDefinitions, packagesFreshMs: number): Promise<Map<string, string[]>> {
    const { packages, reads, retentionMs } = this.#options;
    const bindings = (await packages?.list(packagesFreshMs)) ?? [];
    const lastReads = await reads.lastReads();
    return new Map(
      [...current.kept.values()].map(({ service, version }) => {
        const id = `${service}@${version}`;
        const reasons = bindings
          .filter((binding) => binding.service === service && binding.version === version)
          .map(({ reference }) => `model package ${reference}`);
        const lastReadMs = lastReads.get(id);
        if (lastReadMs !== undefined && this.#nowMs() - lastReadMs < retentionMs) {
          reasons.push(`asked for at ${new Date(lastReadMs).toISOString()}, within the retention`);
        }
        if (current.head.answering[service] === version) reasons.push("answers while the version in force fills");
        return [id, reasons];
      }),
    );
  }

  /** Replaces the head by what comes of the present one, and takes it into force here. */
  async #change(next: (current: AppliedDefinitions) => Promise<RegistryHead | undefined>): Promise<void> {
    const { registry, catalogue } = this.#options;
    for (;;) {
      const current = catalogue.current;
      if (current === undefined || (current.head.filling.length === 0 && current.head.kept.length === 0)) return;
      const head = await next(current);
      if (head === undefined) return;
      const isReplaced = await registry.replace(current, head, []);
      await catalogue.refresh();
      if (isReplaced) return;
    }
  }
}
