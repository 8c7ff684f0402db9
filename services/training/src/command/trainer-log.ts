import type { RunReport } from "../pipeline/run-report.ts";

const keptLines = 50;
const everyMs = 500;

/**
 * What a program prints, for the run's record: the last lines, told at most twice a second, and progress as JSON lines
 * `{"epoch": 3, "metrics": {"loss": 0.41, "validation_loss": 0.44}}`.
 */
export class TrainerLog {
  readonly #report: (message: RunReport) => void;
  readonly #lines: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #epochBeganMs = performance.now();

  constructor(report: (message: RunReport) => void) {
    this.#report = report;
  }

  note(line: string): void {
    const progress = progressOf(line);
    if (progress !== undefined) {
      const seconds = (performance.now() - this.#epochBeganMs) / 1000;
      this.#epochBeganMs = performance.now();
      const { epoch, metrics } = progress;
      const trainingLoss = metrics.loss ?? Number.NaN;
      const validationLoss = metrics.validation_loss ?? Number.NaN;
      this.#report({ kind: "epoch", epoch: { epoch, trainingLoss, validationLoss, seconds, metrics } });
    }
    this.#lines.push(line);
    if (this.#lines.length > keptLines) this.#lines.shift();
    this.#timer ??= setTimeout(() => this.#tell(), everyMs);
  }

  end(): void {
    if (this.#timer !== undefined) this.#tell();
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#report({ kind: "log", lines: [...this.#lines] });
  }
}

/** A line that tells of an epoch; undefined for any other text. */
const progressOf = (line: string): { readonly epoch: number; readonly metrics: Record<string, number> } | undefined => {
  if (!line.startsWith("{")) return undefined;
  try {
    const { epoch, metrics } = JSON.parse(line) as { epoch?: unknown; metrics?: unknown };
    if (typeof epoch !== "number" || !Number.isInteger(epoch) || epoch < 1 || epoch > 2 ** 31 - 1) return undefined;
    const numbers = Object.entries(typeof metrics === "object" && metrics !== null ? metrics : {}).filter(
      (entry): entry is [string, number] => typeof entry[1] === "number",
    );
    return { epoch, metrics: Object.fromEntries(numbers) };
  } catch {
    // Text that only looks like JSON is a line of the log like any other.
    return undefined;
  }
};
