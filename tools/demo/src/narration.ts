import colors from "picocolors";

/**
 * What the walkthrough tells the person who started it: plain lines, one heading a step, and for long work one line that is
 * rewritten where the output is a terminal.
 */
export class Narration {
  readonly #out: NodeJS.WriteStream;
  readonly #seconds = new Map<string, number>();
  #open = false;
  #lastProgress = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Runs one step under its heading and keeps how long it took. */
  async step<T>(name: string, why: string, run: () => Promise<T>): Promise<T> {
    const started = performance.now();
    this.line("");
    this.line(`${colors.bold(colors.cyan(name))}  ${colors.dim(why)}`);
    const result = await run();
    this.#seconds.set(name, (performance.now() - started) / 1000);
    return result;
  }

  line(text: string): void {
    this.#endProgress();
    this.#out.write(`${text === "" ? "" : "  "}${text}\n`);
  }

  /** What matters most in a step. */
  strong(text: string): void {
    this.line(colors.bold(text));
  }

  warn(text: string): void {
    this.line(colors.yellow(text));
  }

  /** A line about work that goes on. Where the output is no terminal, at most one every five seconds. */
  progress(text: string): void {
    if (this.#out.isTTY) {
      this.#out.write(`\r\u001b[K  ${colors.dim(text)}`);
      this.#open = true;
      return;
    }
    const now = performance.now();
    if (now - this.#lastProgress < 5000) return;
    this.#lastProgress = now;
    this.line(colors.dim(text));
  }

  /** Rows with columns that stand under each other; the first row is the heading. */
  table(rows: readonly (readonly string[])[]): void {
    const widths = rows.reduce<number[]>(
      (sofar, row) => row.map((cell, column) => Math.max(sofar[column] ?? 0, cell.length)),
      [],
    );
    rows.forEach((row, index) => {
      const text = row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ");
      this.line(index === 0 ? colors.dim(text) : text);
    });
  }

  /** Seconds of each step so far. */
  seconds(): ReadonlyMap<string, number> {
    return this.#seconds;
  }

  #endProgress(): void {
    if (!this.#open) return;
    this.#out.write("\r\u001b[K");
    this.#open = false;
  }
}
