import { type Dirent, promises as files } from "node:fs";
import { dirname, join } from "node:path";
import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { MillraceError, Reason } from "@millrace/errors";
import { ModelInvalidError } from "@millrace/tensor";
import { loadVersion, type ServingOptions } from "./load-version.ts";
import type { ModelRoster } from "./model-roster.ts";
import { defaultPolicy } from "./servable.ts";
import { ModelUnknownError } from "./serving-errors.ts";

/** A model file that was found. */
interface ModelFile {
  readonly name: string;
  /** A decimal integer. */
  readonly version: string;
  readonly path: string;
}

/** What the folder tells of its loads. */
export interface ModelFolderObserver {
  onLoaded(name: string, version: string, text: string): void;
  onFailed(name: string, version: string, error: MillraceError): void;
}

/**
 * Serves the models of a folder: `NAME.onnx` as version 1, and Triton's `NAME/1/model.onnx`, of which the highest version
 * is taken. It is read at the start and when a load asks for it.
 */
export class ModelFolder {
  readonly #folder: string;
  readonly #roster: ModelRoster;
  readonly #options: ServingOptions;
  readonly #observer: ModelFolderObserver;
  /** One load or unload of a name at a time. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(folder: string, roster: ModelRoster, options: ServingOptions, observer: ModelFolderObserver) {
    this.#folder = folder;
    this.#roster = roster;
    this.#options = options;
    this.#observer = observer;
  }

  /** Loads every model that is there. One that fails is told of in the status, and does not keep the others from serving. */
  async loadAll(): Promise<void> {
    for (const file of await this.#scan()) {
      await this.#inTurn(file.name, () => this.#load(file)).catch(() => undefined);
    }
  }

  /** @throws ModelUnknownError where the folder has no such model; what loading it throws. */
  async load(name: string): Promise<void> {
    const file = (await this.#scan()).find((file) => file.name === name);
    if (file === undefined) throw new ModelUnknownError(name, "", this.#roster.names());
    await this.#inTurn(name, () => this.#load(file));
  }

  /** @throws ModelUnknownError */
  async unload(name: string): Promise<void> {
    if (!this.#roster.names().includes(name)) throw new ModelUnknownError(name, "", this.#roster.names());
    await this.#inTurn(name, () => this.#roster.unload(name));
  }

  async #load({ name, version, path }: ModelFile): Promise<void> {
    const record = this.#roster.begin(name, version, path);
    let joining = "";
    try {
      const served = await loadVersion(
        {
          name,
          version,
          origin: { reference: path, digest: "", repository: "", manifest: undefined },
          model: await files.readFile(path),
          externalDataFolder: dirname(path),
          golden: undefined,
          options: this.#options,
          policy: defaultPolicy,
        },
        {
          onState: (state) => this.#roster.update(record, state),
          onJoining: (text) => {
            joining = text;
          },
        },
      );
      const retired = this.#roster.serve(name, record, served);
      this.#observer.onLoaded(name, version, joining);
      await retired;
    } catch (cause) {
      const error =
        cause instanceof MillraceError
          ? cause
          : new ModelInvalidError(`The file of the model ${name} cannot be read.`, cause);
      this.#roster.update(record, State.FAILED, error);
      this.#observer.onFailed(name, version, error);
      throw error;
    }
  }

  async #inTurn<T>(name: string, action: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(name) ?? Promise.resolve();
    const turn = before.then(action, action);
    this.#turns.set(name, turn);
    return turn;
  }

  /** @throws MillraceError where the folder cannot be read. */
  async #scan(): Promise<ModelFile[]> {
    let entries: Dirent[];
    try {
      entries = await files.readdir(this.#folder, { withFileTypes: true });
    } catch (cause) {
      throw new MillraceError(
        "FAILED_PRECONDITION",
        Reason.FOLDER_UNUSABLE,
        `The folder of models ${this.#folder} cannot be read.`,
        { cause },
      );
    }
    const found: ModelFile[] = [];
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.endsWith(".onnx") && !entry.isDirectory()) {
        const name = entry.name.slice(0, -".onnx".length);
        found.push({ name, version: "1", path: join(this.#folder, entry.name) });
      } else if (entry.isDirectory()) {
        const version = await this.#highestVersion(entry.name);
        if (version !== undefined) {
          found.push({
            name: entry.name,
            version,
            path: join(this.#folder, entry.name, version, "model.onnx"),
          });
        }
      }
    }
    return found;
  }

  async #highestVersion(name: string): Promise<string | undefined> {
    const versions = (await files.readdir(join(this.#folder, name))).filter((version) => /^[1-9]\d*$/.test(version));
    for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
      const isFile = await files.stat(join(this.#folder, name, version, "model.onnx")).then(
        (stat) => stat.isFile(),
        () => false,
      );
      if (isFile) return version;
    }
    return undefined;
  }
}
