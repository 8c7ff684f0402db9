import { instancesInARun } from "./model-instance.ts";

/**
 * Has the process end even where a run never returns. A thread inside of the runtime cannot be stopped: Node's own exit
 * waits for it, for ever or until the runtime's return aborts the process. So the process, which has closed all else by
 * then, kills itself: it is gone at once, with the signal KILL as its status.
 * @param onStuck is told before, to log it; it must write at once.
 */
export const endWithStuckRuns = (onStuck: (runs: number) => void): void => {
  process.on("exit", () => {
    const runs = instancesInARun();
    if (runs === 0) return;
    onStuck(runs);
    process.kill(process.pid, "SIGKILL");
  });
};
