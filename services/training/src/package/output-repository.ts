/**
 * Where a spec's `output.repository` lies: a name in the service's own store, or the last part of a whole URL, whose
 * other parts are the store.
 */
export const outputRepository = (
  repository: string,
  modelStoreUrl: string,
): { readonly storeUrl: string; readonly repository: string } => {
  if (!repository.startsWith("oci:")) {
    return { storeUrl: modelStoreUrl, repository };
  }
  const slash = repository.lastIndexOf("/");
  return { storeUrl: repository.slice(0, slash), repository: repository.slice(slash + 1) };
};

/** A spec may write a champion as `name@tag`; the store's own form is `name:tag`. */
export const championReference = (champion: string): string => champion.replace(/@(?!sha256:)/, ":");
