import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@millrace/backing";
import { startProcess } from "../server-process.ts";
import type { Peer } from "./peer.ts";
import { pythonEnvironment } from "./python-environment.ts";

const requirements = ["kserve==0.21.0", "onnxruntime==1.30.0"];

/** The server that KServe's own Python runtimes are made of. It listens on all interfaces: it has no setting for that. */
export const kserve: Peer = {
  name: "KServe's Python server",
  install: async () => {
    await pythonEnvironment("kserve", requirements);
  },
  start: async (models, folder, grpcPort) => {
    const { python } = await pythonEnvironment("kserve", requirements);
    const files = models.map(({ name, onnx }) => {
      const path = join(folder, `${name}.onnx`);
      writeFileSync(path, onnx);
      return `${name}=${path}`;
    });
    return startProcess({
      command: python,
      args: [join(import.meta.dirname, "kserve_onnx.py"), String(grpcPort), String(await freePort()), ...files],
      folder,
      errors: "ignore",
    });
  },
};
