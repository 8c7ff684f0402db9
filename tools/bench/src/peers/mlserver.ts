import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { startProcess } from "../server-process.ts";
import type { Peer } from "./peer.ts";
import { pythonEnvironment } from "./python-environment.ts";

// Its parallel workers do not start with a newer uvloop.
const requirements = ["mlserver==1.7.1", "uvloop==0.21.0", "onnxruntime==1.30.0"];

/** @param parallelWorkers processes that run models, 1 by default; 0 runs them in the process that answers the calls. */
export const mlserver = (parallelWorkers: number): Peer => ({
  name: parallelWorkers === 0 ? "MLServer without parallel workers" : "MLServer",
  install: async () => {
    await pythonEnvironment("mlserver", requirements);
  },
  start: async (models, folder, grpcPort) => {
    const environment = await pythonEnvironment("mlserver", requirements);
    const settings = {
      host: "127.0.0.1",
      grpc_port: grpcPort,
      http_port: await freePort(),
      metrics_port: await freePort(),
      parallel_workers: parallelWorkers,
      debug: false,
      environments_dir: join(folder, "environments"),
      metrics_dir: join(folder, "metrics"),
    };
    writeFileSync(join(folder, "settings.json"), JSON.stringify(settings));
    for (const { name, onnx } of models) {
      mkdirSync(join(folder, name));
      const uri = join(folder, name, "model.onnx");
      writeFileSync(uri, onnx);
      const model = { name, implementation: "mlserver_onnx.OnnxModel", parameters: { uri } };
      writeFileSync(join(folder, name, "model-settings.json"), JSON.stringify(model));
    }
    return startProcess({
      command: join(environment.folder, "bin/mlserver"),
      args: ["start", folder],
      environment: { PYTHONPATH: import.meta.dirname, PYTHONWARNINGS: "ignore" },
      folder,
      errors: "ignore",
    });
  },
});
