import { readdirSync, readFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { inferred, laneOf, steps } from "../../test/lane-of.ts";
import { loopModel } from "../../test/loop-model.ts";

/** How many threads of this process give way: the niceness is the 19th field of /proc/PID/task/TID/stat. */
const givingWay = (): number =>
  readdirSync("/proc/self/task").filter((thread) => {
    const fields = readFileSync(`/proc/self/task/${thread}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return Number(fields[16]) > 0;
  }).length;

test("the thread of a model whose runs are long gives way, and that of one whose runs are short does not", async ({
  skip,
}) => {
  skip(process.platform !== "linux", "only Linux has priorities of threads");
  const [short, long] = [await laneOf(loopModel(), { batched: false }), await laneOf(loopModel(), { batched: false })];
  onTestFinished(async () => {
    await Promise.all([short.close(), long.close()]);
  });
  // As many steps as take long here, whatever the machine.
  let count = 10_000;
  for (let took = 0; took < 250; count *= 2) {
    const begunMs = performance.now();
    await inferred(short, steps(count));
    took = performance.now() - begunMs;
    // A single run may be slow because others had the processor.
    await inferred(short, steps(1));
  }
  expect(givingWay()).toBe(0);
  for (let run = 0; run < 3; run++) await inferred(long, steps(count));
  expect(givingWay()).toBe(1);
});
