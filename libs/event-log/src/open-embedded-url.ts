import { type EmbeddedLogOptions, openEmbeddedLog } from "./embedded/embedded-log.ts";
import type { EventLog } from "./event-log.ts";
import { LogUrlInvalidError } from "./log-url-invalid-error.ts";

const parameterNames = ["durability", "retentionMs"];

/** Opens `log:PATH[?durability=disk|process][&retentionMs=N]`; the path is relative to the working folder or absolute. */
export const openEmbeddedUrl = async (url: string): Promise<EventLog> => {
  const [path = "", query = ""] = url.slice("log:".length).split(/\?(.*)/s);
  if (path === "") throw new LogUrlInvalidError("a path after log:", JSON.stringify(url));
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!parameterNames.includes(name))
      throw new LogUrlInvalidError(`no parameter but ${parameterNames.join(", ")}`, name);
  }
  const durability = parameters.get("durability") ?? "disk";
  if (durability !== "disk" && durability !== "process") {
    throw new LogUrlInvalidError("durability=disk or durability=process", `durability=${durability}`);
  }
  const retention = parameters.get("retentionMs");
  const retentionMs = Number(retention);
  if (retention !== null && !(Number.isSafeInteger(retentionMs) && retentionMs > 0)) {
    throw new LogUrlInvalidError(
      "retentionMs to be a whole number of milliseconds above 0",
      `retentionMs=${retention}`,
    );
  }
  const options: EmbeddedLogOptions = { durability, ...(retention === null ? {} : { retentionMs }) };
  return openEmbeddedLog(decodeURIComponent(path.replace(/^\/\/(?=\/)/, "")), options);
};
