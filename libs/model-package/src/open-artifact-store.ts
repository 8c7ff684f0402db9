import type { ArtifactStore } from "./artifact-store.ts";
import { StoreUrlInvalidError } from "./store-url-invalid-error.ts";
import type { TransferObserver } from "./transfer.ts";

const expected = "oci:./folder, or oci://host[:port]/prefix with ?plainHttp=true where the registry speaks no TLS";

/** Opens a store of artifacts by its URL: the one table of schemes. @throws StoreUrlInvalidError */
export const openArtifactStore = async (url: string, onTransfer?: TransferObserver): Promise<ArtifactStore> => {
  if (url.startsWith("oci://")) {
    const { openRegistryStore } = await import("./registry/registry-store.ts");
    return openRegistryStore(url, onTransfer);
  }
  if (url.startsWith("oci:") && url.length > "oci:".length) {
    const { openLayoutStore } = await import("./layout/layout-store.ts");
    return openLayoutStore(url.slice("oci:".length), onTransfer);
  }
  throw new StoreUrlInvalidError(expected, url === "" ? "an empty text" : `the scheme ${url.split(":")[0]}:`);
};
