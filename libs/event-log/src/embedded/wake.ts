import { closeSync, type FSWatcher, mkdirSync, openSync, watch, writeSync } from "node:fs";
import { join } from "node:path";

/**
 * Tells waiting readers, in this process and others, that something was committed. Each name has a file that is written
 * one byte after a commit; the operating system reports that to whoever watches the folder. A report that is lost costs
 * no more than the longest wait, since waiting always ends.
 */
export class Wake {
  readonly #folder: string;
  readonly #files = new Map<string, number>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #watcher: FSWatcher | undefined;
  readonly #byte = Buffer.from([0]);

  constructor(folder: string) {
    this.#folder = join(folder, "wake");
    mkdirSync(this.#folder, { recursive: true });
    this.#watcher = this.#watch();
  }

  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.#folder, { persistent: false }, (_event, name) => this.#wake(`${name ?? ""}`));
      // Without reports the waits end by their own time: slower, still right.
      watcher.on("error", () => watcher.close());
      return watcher;
    } catch {
      return undefined;
    }
  }

  /** Whether other processes' commits are reported at once. */
  get isPrompt(): boolean {
    return this.#watcher !== undefined;
  }

  notify(name: string): void {
    let file = this.#files.get(name);
    if (file === undefined) {
      file = openSync(join(this.#folder, name), "w");
      this.#files.set(name, file);
    }
    writeSync(file, this.#byte, 0, 1, 0);
    this.#wake(name);
  }

  #wake(name: string): void {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    for (const resume of waiting) resume();
  }

  /** Calls back once, at the next commit under that name. @returns takes the call back. */
  once(name: string, resume: () => void): () => void {
    let waiting = this.#waiting.get(name);
    if (waiting === undefined) {
      waiting = new Set();
      this.#waiting.set(name, waiting);
    }
    const set = waiting;
    set.add(resume);
    return () => {
      set.delete(resume);
    };
  }

  close(): void {
    this.#watcher?.close();
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
    for (const name of [...this.#waiting.keys()]) this.#wake(name);
  }
}
