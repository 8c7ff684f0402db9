import { availableParallelism } from "node:os";
import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError, Reason } from "@millrace/errors";
import { ModelInvalidError } from "@millrace/tensor";
import type { ServingOptions } from "../serving/load-version.ts";
import type { ModelRoster, VersionRecord } from "../serving/model-roster.ts";
import { pause } from "../serving/pause.ts";
import { ModelUnknownError } from "../serving/serving-errors.ts";
import { checkModelConfig, isEnsemble } from "./config/check-model-config.ts";
import { chooseVersions } from "./config/version-policy.ts";
import { Ensembles } from "./ensembles.ts";
import { findModels } from "./find-models.ts";
import type { FoundModel, FoundVersion, OpenedModel } from "./found-model.ts";
import { loadFoundVersion } from "./load-found-version.ts";
import { type ModelControlMode, RepositoryPolledError } from "./model-control-mode.ts";
import { RepositoryLooks } from "./repository-looks.ts";
import type { RepositoryOptions } from "./repository-options.ts";

/** What the repository tells of its loads. */
export interface ModelRepositoryObserver {
  onLoaded(name: string, version: string, text: string): void;
  onFailed(name: string, version: string, error: MillraceError): void;
  onUnloaded(name: string): void;
  /** @param fields of the configuration that are set and change nothing here. */
  onWithoutEffect(name: string, fields: readonly string[]): void;
  onUnreadable(error: MillraceError): void;
  onDefect(error: unknown): void;
}

/**
 * Serves the models of folders, as Triton's model repository: at the start, when a call asks for it, or as the folders
 * change, by the mode. A model's versions are loaded, checked, and then put in the place of those before, which drain: no
 * request fails. What cannot be loaded is told of in the status, and keeps neither the others nor its own earlier
 * versions from serving.
 */
export class ModelRepository {
  readonly #roster: ModelRoster;
  readonly #options: RepositoryOptions;
  readonly #defaults: ServingOptions;
  readonly #observer: ModelRepositoryObserver;
  readonly #ensembles: Ensembles;
  readonly #looks = new RepositoryLooks();
  /** One load or unload of a name at a time. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** By name: what each version that serves was loaded from. */
  readonly #keys = new Map<string, ReadonlyMap<string, string>>();

  constructor(
    options: RepositoryOptions,
    roster: ModelRoster,
    defaults: ServingOptions,
    observer: ModelRepositoryObserver,
  ) {
    this.#roster = roster;
    this.#options = options;
    this.#defaults = defaults;
    this.#observer = observer;
    this.#ensembles = new Ensembles(roster, observer);
  }

  get mode(): ModelControlMode {
    return this.#options.mode;
  }

  get sources(): readonly string[] {
    return this.#options.sources;
  }

  /**
   * Loads what the mode has loaded at the start. A model that fails does not keep the others from serving.
   * @throws MillraceError where a source cannot be read, ModelUnknownError where a model that was named is in none.
   */
  async start(): Promise<void> {
    const found = await findModels(this.#options.sources);
    const { mode, loadModels } = this.#options;
    const all = mode !== "explicit" || loadModels.includes("*");
    const unknown = all ? undefined : loadModels.find((name) => !found.has(name));
    if (unknown !== undefined) throw new ModelUnknownError(unknown, "", [...found.keys()]);
    const wanted = [...found.values()].filter(({ name }) => all || loadModels.includes(name));
    this.#looks.look(found);
    await this.#putAll(wanted);
  }

  /** What the sources hold now. @throws MillraceError where one cannot be read. */
  async found(): Promise<ReadonlyMap<string, FoundModel>> {
    return await findModels(this.#options.sources);
  }

  /**
   * Loads a model, or loads it anew where it serves; an ensemble with those of its models that do not serve.
   * @param override stands in place of what is found: a configuration, or a whole model.
   * @throws RepositoryPolledError; ModelUnknownError where the sources have no such model; what loading it throws.
   */
  async load(name: string, override: { config?: ModelConfig; model?: FoundModel } = {}): Promise<void> {
    this.#refuseWherePolled();
    const found = await this.found();
    const model = override.model ?? found.get(name);
    if (model === undefined) throw new ModelUnknownError(name, "", [...found.keys()]);
    const ensemble = await this.#inTurn(name, () => this.#put(model, override.config, true));
    if (ensemble === undefined) return;
    ensemble();
    const absent = this.#ensembles.modelsOf(name).filter((part) => this.#roster.versions(part).length === 0);
    for (const part of absent) if (found.has(part)) await this.load(part);
    if (this.#roster.versions(name).length > 0) return;
    const { message = "" } = this.#roster.records(name).at(-1) ?? {};
    throw new ModelInvalidError(`The ensemble ${name} does not serve. ${message}`);
  }

  /**
   * Takes a model out of service; what it has taken is answered.
   * @param dependents whether the models of an ensemble go too.
   * @throws RepositoryPolledError, ModelUnknownError
   */
  async unload(name: string, dependents: boolean): Promise<void> {
    this.#refuseWherePolled();
    if (!this.#roster.names().includes(name)) throw new ModelUnknownError(name, "", this.#roster.names());
    const models = dependents ? this.#ensembles.modelsOf(name) : [];
    await this.#unload(name);
    for (const model of models) if (this.#roster.names().includes(model)) await this.#unload(model);
  }

  /** Looks at the sources until the signal is aborted, and follows their changes. */
  async run(signal: AbortSignal): Promise<void> {
    let told = "";
    while (!signal.aborted) {
      await pause(this.#options.pollMs, signal);
      if (signal.aborted) return;
      try {
        const { changed, gone } = this.#looks.look(await this.found());
        told = "";
        // A model that takes long to load, or to drain, keeps none of the others waiting.
        for (const name of gone) this.#unload(name).catch(this.#observer.onDefect);
        this.#putAll(changed).catch(this.#observer.onDefect);
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error;
        if (error.message !== told) this.#observer.onUnreadable(error);
        told = error.message;
      }
    }
  }

  /** Ends what is under way. What serves goes on: the roster is closed by its owner. */
  async close(): Promise<void> {
    this.#ensembles.close();
    await Promise.all(this.#turns.values());
  }

  /** What fails is told of, and is no error here. Ensembles come last: their models are there then. */
  async #putAll(models: readonly FoundModel[]): Promise<void> {
    const waiting = [...models];
    const ensembles: (() => void)[] = [];
    const next = async () => {
      for (let model = waiting.shift(); model !== undefined; model = waiting.shift()) {
        ensembles.push((await this.#tryPut(model)) ?? (() => undefined));
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, next));
    for (const ensemble of ensembles) ensemble();
  }

  async #tryPut(model: FoundModel): Promise<(() => void) | undefined> {
    this.#looks.act(model);
    try {
      return await this.#inTurn(model.name, () => this.#put(model, undefined, false));
    } catch (error) {
      // The status and the log say it already.
      if (!(error instanceof MillraceError)) this.#observer.onDefect(error);
      return undefined;
    }
  }

  async #unload(name: string): Promise<void> {
    await this.#inTurn(name, async () => {
      this.#ensembles.release(name);
      this.#keys.delete(name);
      if (!this.#roster.names().includes(name)) return;
      await this.#roster.unload(name);
      this.#observer.onUnloaded(name);
    });
  }

  /**
   * Puts a model in force as it was found.
   * @param anew whether versions are loaded that serve already, and have not changed.
   * @returns what begins to serve an ensemble; undefined for a model, which serves then.
   */
  async #put(model: FoundModel, override: ModelConfig | undefined, anew: boolean): Promise<(() => void) | undefined> {
    const { name } = model;
    if (this.#roster.declarationHash(name) !== "") throw declaredError(name);
    for (const record of this.#roster.records(name)) {
      if (record.state === State.FAILED && record.served === undefined) this.#roster.update(record, State.UNLOADED);
    }
    let opened: OpenedModel;
    let wanted: readonly FoundVersion[];
    try {
      opened = await model.open(override);
      wanted = this.#check(model, opened);
    } catch (cause) {
      throw this.#fail(name, this.#roster.begin(name, "", model.path), cause);
    }
    const { config } = opened;
    const [newest] = wanted.slice(-1);
    if (config !== undefined && isEnsemble(config) && newest !== undefined) {
      this.#keys.delete(name);
      try {
        return this.#ensembles.put(name, newest.version, model.path, config);
      } catch (cause) {
        throw this.#fail(name, this.#roster.begin(name, newest.version, model.path), cause);
      }
    }
    await this.#putVersions(name, opened, wanted, anew);
    return undefined;
  }

  async #putVersions(name: string, opened: OpenedModel, wanted: readonly FoundVersion[], anew: boolean): Promise<void> {
    const keys = new Map(this.#keys.get(name));
    const drained: Promise<void>[] = [];
    let failure: MillraceError | undefined;
    for (const version of wanted) {
      const key = JSON.stringify([version.fingerprint, version.reference, opened.fingerprint, keyOf(opened.config)]);
      if (!anew && keys.get(version.version) === key) continue;
      const record = this.#roster.begin(name, version.version, version.reference);
      try {
        const { served, joining } = await loadFoundVersion(name, version, opened, this.#defaults, (state) =>
          this.#roster.update(record, state),
        );
        this.#ensembles.release(name);
        drained.push(this.#roster.serve(name, record, served));
        keys.set(version.version, key);
        this.#observer.onLoaded(name, version.version, joining);
      } catch (cause) {
        const error = this.#fail(name, record, cause);
        failure ??= error;
      }
    }
    // Where one failed, what serves stays: a newer version that does not serve must not cost the older one.
    const kept = wanted.map(({ version }) => version);
    if (failure === undefined) {
      for (const version of [...keys.keys()]) if (!kept.includes(version)) keys.delete(version);
      drained.push(this.#roster.retain(name, kept));
    }
    this.#keys.set(name, keys);
    await Promise.all(drained);
    if (failure !== undefined) throw failure;
  }

  /** @returns the versions that are to serve, ascending; at least one. @throws ModelInvalidError, ModelConfigInvalidError */
  #check({ name, path }: FoundModel, { config, versions }: OpenedModel): readonly FoundVersion[] {
    if (config !== undefined) {
      const withoutEffect = [...checkModelConfig(config, name)];
      if (config.responseCache?.enable === true && !this.#defaults.responseCacheBytes) {
        withoutEffect.push("response_cache.enable");
      }
      if (withoutEffect.length > 0) this.#observer.onWithoutEffect(name, withoutEffect);
    }
    const present = versions.map(({ version }) => version);
    const { versions: chosen, missing } = chooseVersions(config?.versionPolicy, present);
    for (const version of missing) {
      const record = this.#roster.begin(name, version, path);
      const there = present.length === 0 ? "none" : present.join(", ");
      this.#fail(name, record, new ModelInvalidError(`version_policy names version ${version}; there are ${there}.`));
    }
    if (chosen.length === 0) throw new ModelInvalidError(`The model ${name} has no version to serve in ${path}.`);
    return chosen.flatMap((version) => versions.find((found) => found.version === version) ?? []);
  }

  #fail(name: string, record: VersionRecord, cause: unknown): MillraceError {
    const error =
      cause instanceof MillraceError
        ? cause
        : new ModelInvalidError(`The files of the model ${name} cannot be read.`, cause);
    this.#roster.update(record, State.FAILED, error);
    this.#observer.onFailed(name, record.version, error);
    return error;
  }

  #refuseWherePolled(): void {
    if (this.#options.mode === "poll") throw new RepositoryPolledError();
  }

  async #inTurn<T>(name: string, action: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(name) ?? Promise.resolve();
    const turn = before.then(action, action);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(name, settled);
    return turn;
  }
}

const keyOf = (config: ModelConfig | undefined): string | undefined =>
  config === undefined
    ? undefined
    : JSON.stringify(config, (_, value) => (typeof value === "bigint" ? String(value) : value));

const declaredError = (name: string) =>
  new MillraceError(
    "FAILED_PRECONDITION",
    Reason.CONFLICT,
    `The model ${name} is declared in the deployments file, and changed there.`,
  );
