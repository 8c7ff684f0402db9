import { ModelStore } from "./model-store.ts";
import { StoreUrlInvalidError } from "./store-url-invalid-error.ts";
import type { TransferObserver } from "./transfer.ts";

const expected = "oci:./folder, or oci://host[:port]/prefix with ?plainHttp=true where the registry speaks no TLS";

export interface ModelStoreOptions {
  /** Told how far the parts of packages have come, for a person who waits. */
  readonly onTransfer?: TransferObserver;
}

/**
 * Opens a model store by its URL: the one table of schemes. `oci:./folder` is a folder of OCI image layouts,
 * `oci://host[:port]/prefix` a registry. Whoever opens it closes it. Nothing is read, written or connected yet.
 *
 * @throws StoreUrlInvalidError
 */
export const openModelStore = async (url: string, options: ModelStoreOptions = {}): Promise<ModelStore> => {
  if (url.startsWith("oci://")) {
    const { openRegistryStore } = await import("./registry/registry-store.ts");
    return new ModelStore(openRegistryStore(url, options.onTransfer));
  }
  if (url.startsWith("oci:") && url.length > "oci:".length) {
    const { openLayoutStore } = await import("./layout/layout-store.ts");
    return new ModelStore(openLayoutStore(url.slice("oci:".length), options.onTransfer));
  }
  throw new StoreUrlInvalidError(expected, url === "" ? "an empty text" : `the scheme ${url.split(":")[0]}:`);
};
