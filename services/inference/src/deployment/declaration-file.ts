import { promises as files } from "node:fs";
import { MillraceError, Reason } from "@millrace/errors";
import { pause } from "../serving/pause.ts";
import { DeclarationInvalidError } from "./declaration-invalid-error.ts";
import type { Deployments } from "./deployments.ts";
import { declarationHash, parseDeclaration } from "./parse-declaration.ts";

/** What the watch tells, for the log. */
export interface DeclarationFileObserver {
  /** The file is not there; what serves goes on. */
  onMissing(): void;
  onApplied(hash: string, models: readonly string[]): void;
  /** The file breaks a rule; what serves goes on. */
  onRefused(error: MillraceError): void;
}

/**
 * Watches the file that declares what is served, and applies it when its text changes. It looks at the text instead of
 * waiting for events of the file system: a Kubernetes ConfigMap changes by swapping a link, which those do not tell.
 */
export class DeclarationFile {
  readonly #path: string;
  readonly #pollMs: number;
  readonly #deployments: Deployments;
  readonly #observer: DeclarationFileObserver;
  #text: string | undefined;
  #lookedOnce = false;
  /** Why it could not be read the last time. */
  #unreadable = "";

  constructor(path: string, pollMs: number, deployments: Deployments, observer: DeclarationFileObserver) {
    this.#path = path;
    this.#pollMs = pollMs;
    this.#deployments = deployments;
    this.#observer = observer;
  }

  /** Looks at the file once, and applies it where it has changed. Called by `run`. */
  async look(): Promise<void> {
    let text: string | undefined;
    try {
      text = await files.readFile(this.#path, "utf8");
      this.#unreadable = "";
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
      if (error.code !== "ENOENT") {
        this.#tellUnreadable(error);
        return;
      }
    }
    const first = !this.#lookedOnce;
    this.#lookedOnce = true;
    if (text === this.#text && !(first && text === undefined)) return;
    this.#text = text;
    if (text === undefined) {
      this.#deployments.refuse("", "The deployments file is not there.");
      this.#observer.onMissing();
      return;
    }
    try {
      const parsed = parseDeclaration(text);
      this.#deployments.apply(parsed);
      this.#observer.onApplied(
        parsed.hash,
        parsed.declaration.deployments.map(({ model }) => model),
      );
    } catch (error) {
      if (!(error instanceof DeclarationInvalidError)) throw error;
      this.#deployments.refuse(declarationHash(text), error.message, error.reasonName, error.details.violations);
      this.#observer.onRefused(error);
    }
  }

  /** What serves goes on: a file that cannot be read for a while is no reason to stop. */
  #tellUnreadable(cause: Error): void {
    // The text is applied anew when it can be read again, also where it is the same.
    this.#text = undefined;
    if (cause.message === this.#unreadable) return;
    this.#unreadable = cause.message;
    const error = new MillraceError(
      "FAILED_PRECONDITION",
      Reason.FOLDER_UNUSABLE,
      `The deployments file cannot be read: ${cause.message}`,
      { cause },
    );
    this.#deployments.refuse("", error.message, error.reasonName);
    this.#observer.onRefused(error);
  }

  /** Looks again and again until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await pause(this.#pollMs, signal);
    }
  }
}
