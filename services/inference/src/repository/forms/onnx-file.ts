import { promises as files } from "node:fs";
import { basename, dirname } from "node:path";
import { fingerprint } from "../fingerprint.ts";
import { type FoundModel, fileOrigin } from "../found-model.ts";

/** What exporters call the file of weights beside `NAME.onnx`. */
const weightsOf = (path: string): string[] => [`${path}.data`, `${path}_data`];

/** A bare `NAME.onnx`: version 1 of NAME, with its weights inside or in a file beside it. */
export const onnxFile = async (source: string, path: string): Promise<FoundModel> => {
  const seen = (await Promise.all([path, ...weightsOf(path)].map(fingerprint))).join("\n");
  return {
    name: basename(path).slice(0, -".onnx".length),
    source,
    path,
    fingerprint: seen,
    open: async (config) => ({
      config,
      folder: undefined,
      boundary: dirname(path),
      fingerprint: "",
      versions: [
        {
          version: "1",
          reference: path,
          fingerprint: seen,
          read: async () => ({
            model: await files.readFile(path),
            externalDataFolder: dirname(path),
            origin: fileOrigin(path),
          }),
        },
      ],
    }),
  };
};
