/**
 * Calls `onGone` once when the process that started this one is gone: its end of our standard input closes (where that
 * is a pipe), or another process becomes our parent.
 * @returns what ends the watch.
 */
export const watchParent = (onGone: () => void): { close(): void } => {
  const parent = process.ppid;
  const gone = () => {
    close();
    onGone();
  };
  const timer = setInterval(() => {
    if (process.ppid !== parent) {
      gone();
    }
  }, 500);
  timer.unref();
  const close = () => {
    clearInterval(timer);
    process.stdin.removeListener("end", gone);
    process.stdin.removeListener("error", gone);
    process.stdin.pause();
  };
  // A socket or pipe is the launcher's; /dev/null, a terminal or a file would end at once or mean nothing.
  if (isPipe()) {
    process.stdin.once("end", gone);
    process.stdin.once("error", gone);
    process.stdin.resume();
    process.stdin.unref?.();
  }
  return { close };
};

const isPipe = (): boolean => {
  const { isTTY } = process.stdin;
  return isTTY !== true && "unref" in process.stdin && process.stdin.constructor.name === "Socket";
};
