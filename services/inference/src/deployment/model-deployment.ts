import type { FieldViolation } from "@millrace/errors";
import type { ModelRoster } from "../serving/model-roster.ts";
import type { Servable } from "../serving/servable.ts";
import { ServedVersion } from "../serving/served-version.ts";
import { nobody } from "../serving/traffic-rules.ts";
import type { PackageSources } from "./check-package.ts";
import { DeclarationInvalidError } from "./declaration-invalid-error.ts";
import type { DeploymentPlan, VersionPlan } from "./deployment-options.ts";
import type { DeploymentsObserver } from "./deployments.ts";
import { DifferentTensorsError, tensorDifference } from "./different-tensors.ts";
import { misfitOverrides } from "./feature-defaults.ts";
import { VersionLoad } from "./version-load.ts";

/**
 * The versions of a model behind one name, and the declaration that they follow.
 *
 *     put ──▶ load what is new ──▶ all are ready or have failed ──▶ traffic rules in force ──▶ what is left out drains
 *
 * Until a declaration is in force, the versions of the one before keep all traffic. A version that failed never serves:
 * its weight falls to the others; where none with weight can serve, the declaration before stays. A change of weights,
 * headers, sticky key, shadows or policies loads nothing, and is in force at once. A name's first declaration answers
 * when it is in force and not before, so that a restart does not send sticky keys astray.
 */
export class ModelDeployment {
  readonly kind = "versions";
  readonly #model: string;
  readonly #roster: ModelRoster;
  readonly #sources: PackageSources;
  readonly #observer: DeploymentsObserver;
  #plan: DeploymentPlan | undefined;
  #hash = "";
  /** Whether an earlier declaration of the name is in force. */
  #inForce: boolean;
  /** By version: what the newest declaration asks for, and what serves. */
  #wanted = new Map<string, VersionLoad>();
  readonly #serving = new Map<string, VersionLoad>();
  readonly #underWay = new Set<Promise<void>>();

  constructor(model: string, roster: ModelRoster, sources: PackageSources, observer: DeploymentsObserver) {
    this.#model = model;
    this.#roster = roster;
    this.#sources = sources;
    this.#observer = observer;
    this.#inForce = roster.answers(model);
  }

  /** Begins to put a declaration in force. */
  put(plan: DeploymentPlan, hash: string): void {
    const before = this.#wanted;
    this.#plan = plan;
    this.#hash = hash;
    this.#wanted = new Map(
      plan.versions.map((version) => {
        const loads = [this.#serving.get(version.version), before.get(version.version)];
        const same = loads.find((load) => load?.plan.loadKey === version.loadKey && load.outcome !== "unfit");
        return [version.version, same ?? this.#load(version, before.get(version.version)?.done)];
      }),
    );
    this.#supersede(before.values());
    this.#settle();
  }

  /** Takes all its versions out of service. Resolves when they are gone. */
  async remove(): Promise<void> {
    this.release();
    await this.#roster.unload(this.#model);
  }

  /** Ends what is on its way. What serves goes on, and belongs to whoever comes next. */
  release(): void {
    const before = this.#wanted;
    this.#plan = undefined;
    this.#wanted = new Map();
    this.#supersede(before.values());
  }

  /** Resolves when nothing is on its way. Retries count. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #load(version: VersionPlan, after: Promise<void> | undefined): VersionLoad {
    const load = new VersionLoad(
      this.#model,
      version,
      this.#roster,
      this.#sources,
      () => ({ policy: this.#plan?.policy ?? noPlan(), maxMessageBytes: this.#plan?.maxMessageBytes }),
      {
        onLoaded: (ready, served, text) => this.#serve(ready, served, text),
        onFailed: (failed, error) => {
          this.#observer.onFailed(this.#model, failed.plan.version, error);
          this.#settle();
        },
        onMisfit: (misfit, error) => {
          const { version } = misfit.plan;
          if (this.#serving.get(version) === misfit) this.#serving.delete(version);
          this.#observer.onFailed(this.#model, version, error);
          this.#follow(this.#roster.fail(this.#model, misfit.record, error));
          this.#settle();
        },
      },
      after,
    );
    const done = load.done.catch(this.#observer.onDefect).finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
    return load;
  }

  #supersede(loads: Iterable<VersionLoad>): void {
    const wanted = new Set(this.#wanted.values());
    for (const load of loads) if (!wanted.has(load)) load.supersede();
  }

  #serve(load: VersionLoad, served: ServedVersion, text: string): void {
    const { version } = served;
    const others = this.#sharing().filter((other) => other.version !== version);
    const leader = this.#leader([...others, served]);
    const difference = leader === undefined || leader === served ? undefined : tensorDifference(served, leader);
    if (leader !== undefined && difference !== undefined && this.#shares(version)) {
      this.#refuse(load, new DifferentTensorsError(version, leader.version, difference));
      this.#follow(served.retire());
    } else {
      this.#follow(this.#roster.serve(this.#model, load.record, served));
      this.#serving.set(version, load);
      this.#observer.onServes(this.#model, version, served.origin.digest, text);
      this.#follow(load.watchFeatures());
    }
    this.#settle();
  }

  /** Puts the newest declaration in force as soon as it is known what has come of each of its versions. */
  #settle(): void {
    const plan = this.#plan;
    if (plan === undefined) return;
    const loading = plan.versions.filter(({ version }) => this.#wanted.get(version)?.outcome === "pending");
    if (loading.length > 0) {
      if (this.#roster.versions(this.#model).length === 0) this.#roster.direct(this.#model, nobody);
      const names = loading.map(({ version }) => version).join(", ");
      this.#roster.pend(this.#model, this.#hash, `It is put in force when version ${names} is ready or has failed.`);
      return;
    }
    this.#dismissMisfits();
    const ready = this.#roster.versions(this.#model).map(({ version }) => version);
    const canServe = ready.some((version) => (plan.rules.weights.get(version) ?? 0) > 0);
    if (!canServe && this.#inForce) {
      this.#roster.pend(this.#model, this.#hash, "None of the versions that it gives traffic to can serve.");
      return;
    }
    const misfits = this.#misfits(plan);
    if (misfits.length > 0) {
      // Until its defaults fit, what was in force before goes on.
      if (!this.#inForce) this.#roster.direct(this.#model, nobody);
      this.#roster.pend(this.#model, this.#hash, new DeclarationInvalidError(misfits).message);
      return;
    }
    this.#inForce = true;
    for (const served of this.#roster.versions(this.#model)) {
      if (served instanceof ServedVersion) served.govern(plan);
    }
    this.#roster.direct(this.#model, plan.rules, this.#hash);
    const declared = plan.versions.map(({ version }) => version);
    for (const version of this.#serving.keys()) if (!declared.includes(version)) this.#serving.delete(version);
    // What is left out drains in its own time: a call that it still holds must not keep the others waiting.
    this.#follow(this.#roster.retain(this.#model, declared));
  }

  /** What of its policy does not fit the features that its versions read; nothing is said before all of them are known. */
  #misfits({ policy, versions, field }: DeploymentPlan): FieldViolation[] {
    const declared = new Set(versions.map(({ version }) => version));
    const ready = this.#roster.versions(this.#model).filter(({ version }) => declared.has(version));
    if (ready.length < declared.size) return [];
    return misfitOverrides(
      policy.features,
      ready.flatMap(({ origin }) => origin.manifest?.features ?? []),
      field,
    );
  }

  /** Takes out of service what shares traffic with a version of other tensors that has more of it. */
  #dismissMisfits(): void {
    const sharing = this.#sharing();
    const leader = this.#leader(sharing);
    if (leader === undefined) return;
    for (const served of sharing) {
      const difference = tensorDifference(served, leader);
      const load = this.#serving.get(served.version);
      if (difference === undefined || load === undefined) continue;
      this.#serving.delete(served.version);
      this.#refuse(load, new DifferentTensorsError(served.version, leader.version, difference));
    }
  }

  #refuse(load: VersionLoad, error: DifferentTensorsError): void {
    load.outcome = "unfit";
    this.#observer.onFailed(this.#model, load.plan.version, error);
    this.#follow(this.#roster.fail(this.#model, load.record, error));
  }

  /** Whether callers who name no version may reach it, or it gets copies of their calls. */
  #shares(version: string): boolean {
    const rules = this.#plan?.rules;
    return rules !== undefined && ((rules.weights.get(version) ?? 0) > 0 || rules.shadows.includes(version));
  }

  #sharing(): Servable[] {
    return this.#roster.versions(this.#model).filter(({ version }) => this.#shares(version));
  }

  /** The one with most weight: it says what the tensors are. The lowest version of several. */
  #leader(sharing: readonly Servable[]): Servable | undefined {
    const weightOf = ({ version }: Servable) => this.#plan?.rules.weights.get(version) ?? 0;
    return sharing
      .filter((served) => weightOf(served) > 0)
      .sort((a, b) => weightOf(b) - weightOf(a) || Number(a.version) - Number(b.version))[0];
  }

  #follow(work: Promise<void>): void {
    work.catch(this.#observer.onDefect);
  }
}

const noPlan = (): never => {
  throw new RangeError("A version is loaded for a declaration.");
};
