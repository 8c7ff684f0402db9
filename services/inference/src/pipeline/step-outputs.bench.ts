/**
 * What it costs to keep a step's outputs: a copy out of the run's shared memory, against handing that memory over and
 * giving the lane new memory for its next run. `node src/pipeline/step-outputs.bench.ts`
 */
const rounds = 2000;

const microseconds = (action: () => void): number => {
  for (let round = 0; round < 50; round++) action();
  const startedMs = performance.now();
  for (let round = 0; round < rounds; round++) action();
  return ((performance.now() - startedMs) * 1000) / rounds;
};

let kept: unknown;
console.log("bytes      copy µs   new shared memory µs");
for (const bytes of [512, 4096, 65_536, 524_288, 4_194_304]) {
  const view = new Uint8Array(new SharedArrayBuffer(bytes)).fill(1);
  const copy = microseconds(() => {
    kept = new Uint8Array(view);
  });
  // The next run writes it: a page that was never written is not there yet.
  const handOver = microseconds(() => {
    const memory = new Uint8Array(new SharedArrayBuffer(Math.max(65_536, bytes)));
    for (let at = 0; at < memory.length; at += 4096) memory[at] = 1;
    kept = memory;
  });
  console.log(`${String(bytes).padEnd(10)} ${copy.toFixed(2).padEnd(9)} ${handOver.toFixed(2)}`);
}
if (kept === undefined) throw new Error("Nothing was kept.");
