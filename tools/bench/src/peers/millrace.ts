import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { nodeCommand } from "../child-server.ts";
import { startProcess } from "../server-process.ts";
import type { Peer } from "./peer.ts";

export const inferenceMain = join(import.meta.dirname, "../../../../services/inference/src/main.ts");

const repository = join(import.meta.dirname, "../../../..");

/** Ours, as `nx run inference:serve -- --models FOLDER` runs it: from its sources, with its defaults. */
export const millrace: Peer = {
  name: "millrace",
  install: async () => undefined,
  start: async (models, folder, grpcPort) => {
    mkdirSync(join(folder, "models"));
    for (const { name, onnx } of models) writeFileSync(join(folder, "models", `${name}.onnx`), onnx);
    return startProcess({
      ...nodeCommand(inferenceMain),
      folder,
      environment: {
        NODE_COMPILE_CACHE: join(repository, ".nx/compile-cache"),
        MILLRACE_MODELS: join(folder, "models"),
        MILLRACE_GRPC_PORT: String(grpcPort),
        MILLRACE_METRICS_PORT: String(await freePort()),
        MILLRACE_LOG_LEVEL: "warn",
      },
    });
  },
};
