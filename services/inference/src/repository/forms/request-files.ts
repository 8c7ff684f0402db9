import type { FoundModel } from "../found-model.ts";
import { fileOrigin } from "../found-model.ts";

/**
 * A model whose files came in a load request, and lie in memory alone.
 * @param files by `<version>/<name>`. @param id tells one request's files from another's.
 */
export const requestFiles = (name: string, files: ReadonlyMap<string, Uint8Array>, id: string): FoundModel => ({
  name,
  source: "",
  path: "the load request",
  fingerprint: id,
  open: async (config) => {
    const filename = config?.defaultModelFilename || "model.onnx";
    const versions = [...files.keys()].filter((path) => path.endsWith(`/${filename}`));
    return {
      config,
      folder: undefined,
      boundary: "",
      fingerprint: "",
      versions: versions.map((path) => {
        const version = path.slice(0, path.indexOf("/"));
        return {
          version,
          reference: `file:${path}`,
          fingerprint: id,
          read: async () => {
            const others = [...files].filter(([other]) => other !== path && other.startsWith(`${version}/`));
            return {
              model: files.get(path) ?? new Uint8Array(0),
              externalData: new Map(others.map(([other, bytes]) => [other.slice(version.length + 1), bytes])),
              origin: fileOrigin(`file:${path}`),
            };
          },
        };
      }),
    };
  },
});
