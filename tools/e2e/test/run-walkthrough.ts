import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** Of feature-serving, training, inference and monitoring, as each README has them. */
const metricsPorts = [8012, 8022, 8002, 8032];
const millrace = join(import.meta.dirname, "../../cli/bin/millrace.js");
const main = join(import.meta.dirname, "../../demo/src/main.ts");

export interface WalkthroughRun {
  readonly folder: string;
  readonly portOffset: number;
  readonly profile: "embedded" | "redis-kafka";
  readonly until: string;
  readonly predictOneIn: number;
}

/** The walkthrough as a user starts it, with `--once`. */
export class Walkthrough {
  readonly #run: WalkthroughRun;
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;
  #output = "";

  constructor(run: WalkthroughRun) {
    this.#run = run;
    this.#child = spawn(
      process.execPath,
      [
        "--conditions=@millrace/source",
        main,
        "--once",
        ...["--state", run.folder, "--port-offset", String(run.portOffset), "--profile", run.profile],
        ...["--until", run.until, "--predict-one-in", String(run.predictOneIn)],
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined } },
    );
    this.#child.stdout?.on("data", (data: Buffer) => {
      this.#output += data.toString();
    });
    this.#child.stderr?.on("data", (data: Buffer) => {
      this.#output += data.toString();
    });
    this.#exit = once(this.#child, "exit").then(([code]) => code as number | null);
  }

  get output(): string {
    return this.#output;
  }

  get stateFolder(): string {
    return join(this.#run.folder, this.#run.profile);
  }

  /** Waits until the replay has finished this many days. */
  async untilDay(days: number): Promise<void> {
    const file = join(this.stateFolder, "replay.json");
    const begin = Date.parse("2001-02-05T00:00:00Z") * 1000;
    await this.until(() => {
      if (!existsSync(file)) return false;
      const { doneUntilUs } = JSON.parse(readFileSync(file, "utf8")) as { doneUntilUs: number };
      return doneUntilUs >= begin + days * 86_400_000_000;
    });
  }

  /** Waits for a condition while the walkthrough runs. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#child.exitCode !== null) throw new Error(`The walkthrough ended early:\n${this.#output}`);
      await sleep(20);
    }
  }

  /** Ends a service as a crash would. The walkthrough starts it again. */
  async killService(name: string): Promise<void> {
    const ids = JSON.parse(readFileSync(join(this.stateFolder, "processes.json"), "utf8")) as Record<string, number>;
    const pid = ids[name];
    if (pid === undefined) throw new Error(`No process of ${name} is known.`);
    process.kill(pid, "SIGKILL");
    const again = `${name} stopped (SIGKILL) and was started again`;
    const before = this.#output.split(again).length;
    await this.until(() => this.#output.split(again).length > before);
  }

  /** What `millrace doctor` finds of the running services. @throws where it finds something wrong. */
  async doctor(): Promise<readonly { readonly of: string; readonly state: string; readonly message: string }[]> {
    const address = (port: number): string => `127.0.0.1:${port + this.#run.portOffset}`;
    const { stdout } = await promisify(execFile)(process.execPath, [millrace, "doctor", "--json"], {
      env: {
        ...process.env,
        NODE_OPTIONS: "--conditions=@millrace/source",
        MILLRACE_FEATURE_SERVING_ADDRESS: address(8011),
        MILLRACE_TRAINING_ADDRESS: address(8021),
        MILLRACE_INFERENCE_ADDRESS: address(8001),
        MILLRACE_MONITORING_ADDRESS: address(8031),
      },
    });
    return JSON.parse(stdout) as { of: string; state: string; message: string }[];
  }

  /** The names of the metrics that the running services export. */
  async exportedMetrics(): Promise<ReadonlySet<string>> {
    const names = new Set<string>();
    for (const port of metricsPorts) {
      const answer = await fetch(`http://127.0.0.1:${port + this.#run.portOffset}/metrics`);
      for (const [, name = ""] of (await answer.text()).matchAll(/^# TYPE (\S+) /gm)) names.add(name);
    }
    return names;
  }

  /** Waits for the end and reads the figures. */
  async summary(): Promise<Summary> {
    const code = await this.#exit;
    if (code !== 0) throw new Error(`The walkthrough ended with ${code}:\n${this.#output}`);
    return JSON.parse(readFileSync(join(this.stateFolder, "summary.json"), "utf8")) as Summary;
  }

  /** Stops the walkthrough where it is still running, and waits for its end. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#exit;
  }
}

export interface Summary {
  readonly packageDigest: string;
  readonly totals: { readonly arrivals: number; readonly predictions: number; readonly labels: number };
  readonly weeks: readonly {
    readonly from: string;
    readonly rows: number;
    readonly measures: Readonly<Record<string, number>>;
    readonly alerts: readonly string[];
  }[];
  readonly comparedValues: number;
  readonly retrained: boolean;
}
