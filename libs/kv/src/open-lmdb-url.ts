import type { Kv } from "./kv.ts";
import { openLmdb } from "./lmdb.ts";
import { StoreUrlInvalidError } from "./store-url-invalid-error.ts";

/** Opens `lmdb:PATH[?durability=disk|process]`; the path is relative to the working folder or absolute. */
export const openLmdbUrl = async (url: string): Promise<Kv> => {
  const [path = "", query = ""] = url.slice("lmdb:".length).split(/\?(.*)/s);
  if (path === "") throw new StoreUrlInvalidError("a path after lmdb:", JSON.stringify(url));
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (name !== "durability") throw new StoreUrlInvalidError("no parameter but durability", name);
  }
  const durability = parameters.get("durability") ?? "process";
  if (durability !== "disk" && durability !== "process") {
    throw new StoreUrlInvalidError("durability=disk or durability=process", `durability=${durability}`);
  }
  return openLmdb(decodeURIComponent(path.replace(/^\/\/(?=\/)/, "")), { durability });
};
