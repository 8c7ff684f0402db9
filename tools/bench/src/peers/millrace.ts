import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inferenceCommand } from "../inference-server.ts";
import { startProcess } from "../server-process.ts";
import type { Peer } from "./peer.ts";

/** Ours, as `nx run inference:serve -- --models FOLDER` runs it: from its sources, with its defaults. */
export const millrace: Peer = {
  name: "millrace",
  install: async () => undefined,
  start: async (models, folder, grpcPort) => {
    mkdirSync(join(folder, "models"));
    for (const { name, onnx } of models) writeFileSync(join(folder, "models", `${name}.onnx`), onnx);
    return startProcess({ ...inferenceCommand(grpcPort, { MILLRACE_MODELS: join(folder, "models") }), folder });
  },
};
