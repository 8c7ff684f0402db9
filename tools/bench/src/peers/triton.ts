import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "@millrace/backing";
import { startProcess } from "../server-process.ts";
import type { Peer } from "./peer.ts";
import { pythonEnvironment } from "./python-environment.ts";

/** PyTriton's package carries the server and its Python backend, without NVIDIA's container. */
const requirements = ["nvidia-pytriton==0.7.0", "onnxruntime==1.30.0"];

/** @param batching whether Triton joins requests, as ours does by default. */
export const triton = (batching: boolean): Peer => ({
  name: `Triton, Python backend, ${batching ? "dynamic batching" : "no batching"}`,
  install: async () => {
    await tritonServer();
  },
  start: async (models, folder, grpcPort) => {
    const { program, backends, libraries, sitePackages } = await tritonServer();
    const repository = join(folder, "models");
    for (const { name, onnx, width } of models) {
      mkdirSync(join(repository, name, "1"), { recursive: true });
      writeFileSync(join(repository, name, "1/model.onnx"), onnx);
      cpSync(join(import.meta.dirname, "triton_onnx.py"), join(repository, name, "1/model.py"));
      const config = [
        `name: "${name}"`,
        'backend: "python"',
        "max_batch_size: 128",
        `input [{ name: "x" data_type: TYPE_FP32 dims: [${width}] }]`,
        'output [{ name: "y" data_type: TYPE_FP32 dims: [1] }]',
        "instance_group [{ count: 1 kind: KIND_CPU }]",
        batching ? "dynamic_batching { }" : "",
      ];
      writeFileSync(join(repository, name, "config.pbtxt"), config.join("\n"));
    }
    return startProcess({
      command: program,
      args: [
        ...[`--model-repository=${repository}`, `--backend-directory=${backends}`],
        ...["--grpc-address=127.0.0.1", `--grpc-port=${grpcPort}`],
        ...["--http-address=127.0.0.1", `--http-port=${await freePort()}`],
        ...["--metrics-address=127.0.0.1", `--metrics-port=${await freePort()}`],
        // Unique for each server: their Python processes meet in shared memory.
        `--backend-config=python,shm-region-prefix-name=bench${grpcPort}`,
      ],
      environment: { LD_LIBRARY_PATH: libraries, BENCH_SITE_PACKAGES: sitePackages },
      folder,
      errors: "ignore",
    });
  },
});

export interface TritonServer {
  readonly program: string;
  readonly backends: string;
  /** Folders of shared libraries, as LD_LIBRARY_PATH takes them. */
  readonly libraries: string;
  /** The folder of those that PyTriton brings. */
  readonly bundledLibraries: string;
  readonly sitePackages: string;
}

const where = `import json, sysconfig
print(json.dumps({"version": sysconfig.get_python_version(), "sitePackages": sysconfig.get_path("purelib"), "libraries": sysconfig.get_config_var("LIBDIR")}))`;

/** Where the server is, installed once. @throws what keeps it from being installed here. */
export const tritonServer = async (): Promise<TritonServer> => {
  const { python } = await pythonEnvironment("triton", requirements);
  const { stdout } = await promisify(execFile)(python, ["-c", where]);
  const { version, sitePackages, libraries } = JSON.parse(stdout) as Record<string, string>;
  if (sitePackages === undefined || libraries === undefined) throw new Error(`${python} does not say where it is.`);
  const root = join(sitePackages, "pytriton/tritonserver");
  const backends = join(root, "backends");
  // The Python backend starts this program, which is built for one version of Python each, from beside its library.
  const stub = join(backends, "python/triton_python_backend_stub");
  if (!existsSync(stub))
    cpSync(join(root, "python_backend_stubs", String(version), "triton_python_backend_stub"), stub);
  const bundledLibraries = join(sitePackages, "nvidia_pytriton.libs");
  return {
    program: join(root, "bin/tritonserver"),
    backends,
    libraries: [libraries, bundledLibraries].join(":"),
    bundledLibraries,
    sitePackages,
  };
};
