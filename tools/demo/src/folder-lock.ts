import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The state folder cannot be used: the one line that says why. */
export class StateFolderError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "StateFolderError";
  }
}

const lockName = "walkthrough.pid";
/** Written first into a folder of ours, so that `--fresh` never clears one that is not. */
const markName = "millrace-state";

/** Sees to it that one walkthrough uses a state folder at a time. */
export class FolderLock {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async take(folder: string): Promise<FolderLock> {
    try {
      accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch {
      throw new StateFolderError(`The state folder ${folder} cannot be read and written by this user.`);
    }
    const file = join(folder, lockName);
    if (existsSync(file)) {
      const pid = Number(readFileSync(file, "utf8"));
      if (pid > 0 && pid !== process.pid && isAlive(pid)) {
        throw new StateFolderError(
          `The state folder ${folder} is in use by process ${pid}. Stop it, or give another folder with --state.`,
        );
      }
    }
    const contents = readdirSync(folder);
    if (contents.length > 0 && !contents.includes(markName) && !contents.includes(lockName)) {
      throw new StateFolderError(
        `The folder ${folder} holds files that are not a walkthrough's. Give another folder with --state.`,
      );
    }
    writeFileSync(
      join(folder, markName),
      "The state of a millrace walkthrough. `npm start -- --fresh` clears this folder.\n",
    );
    writeFileSync(file, String(process.pid));
    return new FolderLock(folder);
  }

  /** Removes all that an earlier walkthrough left. */
  clearFolder(): void {
    for (const name of readdirSync(this.#folder)) {
      if (name !== lockName && name !== markName) rmSync(join(this.#folder, name), { recursive: true, force: true });
    }
  }

  release(): void {
    rmSync(join(this.#folder, lockName), { force: true });
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
};
