import { MillraceError, Reason } from "@millrace/errors";

/**
 * How models are loaded, in Triton's words: `none` all at the start, `poll` as the folders change, `explicit` by calls.
 * Calls are taken in `none` as well, where Triton refuses them.
 */
export const modelControlModes = ["none", "poll", "explicit"] as const;
export type ModelControlMode = (typeof modelControlModes)[number];

/** Thrown to calls that load or unload a model while the folders say what is loaded. UNAVAILABLE, as Triton has it. */
export class RepositoryPolledError extends MillraceError {
  constructor() {
    super(
      "UNAVAILABLE",
      Reason.UNIMPLEMENTED,
      "No call loads or unloads models while the folder of models is polled (modelControlMode poll): change the folder, or use explicit.",
    );
  }
}
