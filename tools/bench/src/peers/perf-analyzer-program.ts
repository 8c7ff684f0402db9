import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { pythonEnvironment } from "./python-environment.ts";
import { tritonServer } from "./triton.ts";

/** A release of NVIDIA's client whose wheel carries the program; newer ones do not. */
const requirements = ["tritonclient[grpc]==2.51.0"];

/** What perf_analyzer measured of one load. */
export interface PerfAnalysis {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** NVIDIA's load generator, with the libraries that it needs from beside PyTriton's server. */
export class PerfAnalyzer {
  readonly #program: string;
  readonly #libraries: string;

  private constructor(program: string, libraries: string) {
    this.#program = program;
    this.#libraries = libraries;
  }

  /** Has it installed, once. @throws what keeps it from being installed here. */
  static async install(): Promise<PerfAnalyzer> {
    const { folder } = await pythonEnvironment("perf-analyzer", requirements);
    const { bundledLibraries } = await tritonServer();
    for (const [name, bundled] of [
      ["libb64.so.0d", /^libb64-.*\.so\.0d$/],
      ["libcudart.so.12", /^libcudart-.*\.so\.12/],
    ] as const) {
      const file = readdirSync(bundledLibraries).find((entry) => bundled.test(entry));
      if (file === undefined) throw new Error(`PyTriton brings no ${name}, which perf_analyzer needs.`);
      if (!existsSync(join(folder, name))) symlinkSync(join(bundledLibraries, file), join(folder, name));
    }
    return new PerfAnalyzer(join(folder, "bin/perf_analyzer"), folder);
  }

  /**
   * Runs it against a model over gRPC.
   * @param options its own, as its documentation has them. @param report a file that it writes.
   * @throws what it prints, where it fails a call or finds no stable figure.
   */
  async run(model: string, address: string, options: readonly string[], report: string): Promise<PerfAnalysis> {
    const args = ["-m", model, "-i", "grpc", "-u", address, ...options, "-f", report];
    await promisify(execFile)(this.#program, args, {
      env: { ...process.env, LD_LIBRARY_PATH: this.#libraries },
      timeout: 120_000,
    });
    const [names = "", values = ""] = readFileSync(report, "utf8").split("\n");
    const figures = new Map(names.split(",").map((name, index) => [name, Number(values.split(",")[index])]));
    return {
      perSecond: figures.get("Inferences/Second") ?? Number.NaN,
      p50Ms: (figures.get("p50 latency") ?? Number.NaN) / 1000,
      p99Ms: (figures.get("p99 latency") ?? Number.NaN) / 1000,
    };
  }
}
