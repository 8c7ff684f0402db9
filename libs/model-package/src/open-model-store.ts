import { ModelStore } from "./model-store.ts";
import { openArtifactStore } from "./open-artifact-store.ts";
import type { TransferObserver } from "./transfer.ts";

export interface ModelStoreOptions {
  /** Told how far the parts of packages have come, for a person who waits. */
  readonly onTransfer?: TransferObserver;
}

/**
 * Opens a model store by its URL. `oci:./folder` is a folder of OCI image layouts, `oci://host[:port]/prefix` a registry.
 * Whoever opens it closes it. Nothing is read, written or connected yet.
 *
 * @throws StoreUrlInvalidError
 */
export const openModelStore = async (url: string, options: ModelStoreOptions = {}): Promise<ModelStore> =>
  new ModelStore(await openArtifactStore(url, options.onTransfer));
