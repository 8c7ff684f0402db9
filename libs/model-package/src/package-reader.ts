import { fromBinary } from "@bufbuild/protobuf";
import {
  type Baseline,
  BaselineSchema,
  type Golden,
  GoldenSchema,
  type ModelPackage,
} from "@millrace/contracts/millrace/model/v1/model_package";
import type { ArtifactStore } from "./artifact-store.ts";
import type { PackageLayers } from "./decode-package.ts";
import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";
import type { PackageFile } from "./package-content.ts";
import { PackageCorruptError } from "./package-corrupt-error.ts";
import { PackageMalformedError } from "./package-malformed-error.ts";

/** A package of a store, by its digest. */
export interface ResolvedPackage {
  readonly repository: string;
  readonly digest: Digest;
}

/** A file of a package, and the blob that it lies in. */
export interface PackagedFile {
  readonly path: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/**
 * A package that was found and checked. The manifest is there; the parts are read when asked for, verified, and kept.
 * What it gives out is shared: do not change it.
 */
export interface ModelPackageReader extends ResolvedPackage {
  /** `repository@digest`: names this very package, now and later. */
  readonly reference: string;
  readonly manifest: ModelPackage;
  /** The package's files, in the order of its layers. */
  readonly files: readonly PackagedFile[];
  /** The serialised ONNX model. @throws PackageCorruptError */
  model(signal?: AbortSignal): Promise<Uint8Array>;
  /** Weights that lie beside the model, by the path that the model names; empty for most. @throws PackageCorruptError */
  externalData(signal?: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>>;
  /** The training profile; undefined where the package has none. @throws PackageCorruptError, PackageMalformedError */
  baseline(signal?: AbortSignal): Promise<Baseline | undefined>;
  /** Undefined where the package has none. @throws PackageCorruptError, PackageMalformedError */
  golden(signal?: AbortSignal): Promise<Golden | undefined>;
  /** The model card as Markdown; undefined where the package has none. @throws PackageCorruptError */
  card(signal?: AbortSignal): Promise<string | undefined>;
}

/** Reads each part once, when it is asked for. */
export class PackageReader implements ModelPackageReader {
  readonly repository: string;
  readonly digest: Digest;
  readonly reference: string;
  readonly manifest: ModelPackage;
  readonly files: readonly PackagedFile[];
  readonly #files: PackageFiles;
  readonly #kept = new Map<PackageFile | "externalData", Promise<unknown>>();

  constructor(resolved: ResolvedPackage, reference: string, files: PackageFiles, manifest: ModelPackage) {
    this.repository = resolved.repository;
    this.digest = resolved.digest;
    this.reference = reference;
    this.#files = files;
    this.files = files.list();
    this.manifest = manifest;
  }

  model(signal?: AbortSignal): Promise<Uint8Array> {
    return this.#once("model.onnx", () => this.#files.need("model.onnx", signal));
  }

  externalData(signal?: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>> {
    return this.#once("externalData", () => this.#files.externalData(signal));
  }

  baseline(signal?: AbortSignal): Promise<Baseline | undefined> {
    return this.#decoded("baseline.binpb", signal, (bytes) => fromBinary(BaselineSchema, bytes));
  }

  golden(signal?: AbortSignal): Promise<Golden | undefined> {
    return this.#decoded("golden.binpb", signal, (bytes) => fromBinary(GoldenSchema, bytes));
  }

  card(signal?: AbortSignal): Promise<string | undefined> {
    return this.#decoded("README.md", signal, (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  }

  #decoded<T>(
    file: PackageFile,
    signal: AbortSignal | undefined,
    decode: (bytes: Uint8Array) => T,
  ): Promise<T | undefined> {
    return this.#once(file, async () => {
      const bytes = await this.#files.read(file, signal);
      if (bytes === undefined) {
        return undefined;
      }
      try {
        return decode(bytes);
      } catch (cause) {
        throw new PackageMalformedError(
          `${file} of ${this.reference}`,
          "its contract's encoding",
          String(cause),
          cause,
        );
      }
    });
  }

  /** A part is read once; a read that failed is tried again at the next call. */
  #once<T>(file: PackageFile | "externalData", read: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(file);
    if (kept !== undefined) {
      return kept as Promise<T>;
    }
    const reading = read();
    this.#kept.set(file, reading);
    reading.catch(() => this.#kept.delete(file));
    return reading;
  }
}

/** The files of one package, by the layers that its manifest names. */
export class PackageFiles {
  readonly #artifacts: ArtifactStore;
  readonly #repository: string;
  readonly #layers: PackageLayers;
  readonly name: string;

  constructor(artifacts: ArtifactStore, repository: string, name: string, layers: PackageLayers) {
    this.#artifacts = artifacts;
    this.#repository = repository;
    this.#layers = layers;
    this.name = name;
  }

  /** The files that the package has. */
  names(): PackageFile[] {
    return [...this.#layers.files.keys()];
  }

  list(): PackagedFile[] {
    const { files, externalData } = this.#layers;
    return [...files, ...externalData].map(([path, { digest, size }]) => ({ path, digest, sizeBytes: size }));
  }

  /** One after the other: they are large, and each must be held whole. */
  async externalData(signal?: AbortSignal): Promise<ReadonlyMap<string, Uint8Array>> {
    const read = new Map<string, Uint8Array>();
    for (const [path, blob] of this.#layers.externalData) {
      read.set(path, await this.bytesOf(blob, signal));
    }
    return read;
  }

  async need(file: PackageFile, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.read(file, signal);
    if (bytes === undefined) {
      throw new PackageMalformedError(this.name, `a layer ${file}`, "none");
    }
    return bytes;
  }

  async read(file: PackageFile, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const layer = this.#layers.files.get(file);
    return layer === undefined ? undefined : this.bytesOf(layer, signal);
  }

  /** A blob that a listed manifest names must be there: the package is damaged otherwise. */
  async bytesOf(blob: Descriptor, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#artifacts.readBlob(this.#repository, blob, signal);
    if (bytes === undefined) {
      throw new PackageCorruptError(`${this.#repository}@${blob.digest}`, `${blob.size} bytes`, "no such blob");
    }
    return bytes;
  }
}
