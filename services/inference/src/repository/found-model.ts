import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import type { Golden } from "@millrace/contracts/millrace/model/v1/model_package";
import type { ModelOrigin } from "../serving/servable.ts";

/** A model that was found in a source, in whatever form. Nothing of it was read yet but names, sizes and times. */
export interface FoundModel {
  readonly name: string;
  /** The source that it was found in, as it was named. */
  readonly source: string;
  readonly path: string;
  /** Equal for as long as none of its files changes. */
  readonly fingerprint: string;
  /**
   * Reads its configuration and lists its versions.
   * @param config stands in place of the one that it has.
   * @throws MillraceError that says what is wrong with it.
   */
  open(config?: ModelConfig): Promise<OpenedModel>;
}

export interface OpenedModel {
  /** Undefined where it has none: the graph says all. */
  readonly config: ModelConfig | undefined;
  /** Where files that the configuration names lie; undefined where there can be none. */
  readonly folder: string | undefined;
  /** The folder that such files must not lie outside of. */
  readonly boundary: string;
  readonly versions: readonly FoundVersion[];
  /** Equal for as long as the files beside the versions are the same: labels, samples. */
  readonly fingerprint: string;
}

export interface FoundVersion {
  /** A decimal integer. */
  readonly version: string;
  readonly reference: string;
  /** Equal for as long as its files are the same. */
  readonly fingerprint: string;
  /** @throws MillraceError */
  read(): Promise<VersionContent>;
}

/** What a version is loaded from. */
export interface VersionContent {
  readonly model: Uint8Array;
  readonly externalData?: ReadonlyMap<string, Uint8Array> | undefined;
  readonly externalDataFolder?: string | undefined;
  readonly golden?: Golden | undefined;
  readonly origin: ModelOrigin;
}

/** The origin of a version that is no package. */
export const fileOrigin = (reference: string): ModelOrigin => ({
  reference,
  digest: "",
  repository: "",
  manifest: undefined,
});
