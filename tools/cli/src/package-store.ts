import type { ModelStore, Transfer } from "@millrace/model-package";
import { Command, Option } from "commander";
import { endProgress, showProgress, sizeText } from "./output.ts";

export interface StoreOptions {
  readonly store?: string;
}

/**
 * A command on packages, with the option that says where they are.
 * @param usage the name, then its arguments: `tag <reference> <tag>`.
 */
export const storeCommand = (usage: string, description: string): Command => {
  const [name = "", ...words] = usage.split(" ");
  const command = new Command().name(name).description(description);
  if (words.length > 0) command.arguments(words.join(" "));
  return command.addOption(
    new Option(
      "--store <url>",
      "the model store that names without a URL are in: oci:./folder or oci://registry/prefix",
    ).env("MILLRACE_MODEL_STORE_URL"),
  );
};

/** Opens a store, shows on a terminal how far its transfers have come, and closes it whatever happens. */
export const withStore = async <T>(url: string, use: (store: ModelStore) => Promise<T>): Promise<T> => {
  // Loaded when it is needed, like everything that only some commands use.
  const { openModelStore } = await import("@millrace/model-package");
  const store = await openModelStore(url, { onTransfer: transferProgress() });
  try {
    return await use(store);
  } finally {
    endProgress();
    await store.close();
  }
};

/** Small parts come and go before anyone could read of them. */
const shownFromBytes = 1024 ** 2;
const shownEveryMs = 100;

const transferProgress = (): ((transfer: Transfer) => void) => {
  let shownMs = 0;
  return ({ direction, blob, doneBytes, totalBytes }) => {
    if (doneBytes === totalBytes) return endProgress();
    const nowMs = performance.now();
    if (totalBytes < shownFromBytes || nowMs - shownMs < shownEveryMs) return;
    shownMs = nowMs;
    const share = Math.floor((100 * doneBytes) / totalBytes);
    showProgress(`${direction}ing ${blob.slice(0, 19)}: ${share} % of ${sizeText(totalBytes)}`);
  };
};
