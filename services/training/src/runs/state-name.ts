import { RunPhase, RunState } from "@millrace/contracts/millrace/training/v1/training_service";

const nameIn = (names: Readonly<Record<string, number>>, number: number): string =>
  (Object.entries(names).find(([, value]) => value === number)?.[0] ?? String(number)).toLowerCase();

/** A state as a word: `queued`, `running`, `succeeded`. */
export const stateName = (state: RunState): string => nameIn(RunState, state);

/** A phase as words: `fitting preparation`. */
export const phaseName = (phase: RunPhase): string => nameIn(RunPhase, phase).replaceAll("_", " ");
