/**
 * Prints how many reads and conditional writes a second the stores do here: `npx nx run kv:rates [URL …]`. Without URLs: an
 * LMDB folder, and a Redis that is started for it where one is installed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { available, startRedis } from "@millrace/backing";
import { type Kv, openKv } from "@millrace/kv";

const valueBytes = 500;
const entries = 20_000;
const batch = 500;

const perSecond = async (times: number, work: (from: number) => Promise<unknown>, step: number): Promise<string> => {
  const begun = performance.now();
  for (let from = 0; from < times; from += step) await work(from);
  return Math.round((times / (performance.now() - begun)) * 1000).toLocaleString("en");
};

const rates = async (name: string, kv: Kv): Promise<void> => {
  const run = Math.random().toString(36).slice(2);
  const keys = (from: number, count: number): Buffer[] =>
    Array.from({ length: count }, (_, i) => Buffer.from(`${run}:{e${(from + i) % entries}}`));
  const write = (expectedVersion: number, count: number) => async (from: number) => {
    const applied = await kv.compareAndSetMany(
      keys(from, count).map((key) => ({ key, expectedVersion, value: Buffer.alloc(valueBytes, 1) })),
    );
    if (!applied.every(Boolean)) throw new Error("A write was refused that nobody competed with.");
  };
  const figures = [
    ["create, 500 a call", await perSecond(entries, write(0, batch), batch)],
    ["compare and set, 500 a call", await perSecond(entries, write(1, batch), batch)],
    ["compare and set, 1 a call", await perSecond(1000, write(2, 1), 1)],
    ["get, 500 a call", await perSecond(entries * 5, (from) => kv.getMany(keys(from, batch)), batch)],
    ["get, 1 a call", await perSecond(5000, (from) => kv.getMany(keys(from, 1)), 1)],
  ] as const;
  for (const [what, figure] of figures) console.log(`${name.padEnd(8)} ${what.padEnd(28)} ${figure}/s`);
  await kv.close();
};

console.log(`values of ${valueBytes} bytes, one call at a time, ${cpus().length} cores, Node ${process.versions.node}`);
const urls = process.argv.slice(2);
for (const url of urls) await rates(new URL(url).protocol, await openKv(url));
if (urls.length === 0) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-kv-"));
  await rates("lmdb", await openKv(`lmdb:${folder}`));
  rmSync(folder, { recursive: true });
  const isThere = available("redis");
  if (isThere === true) {
    const redis = await startRedis();
    await rates("redis", await openKv(redis.url));
    await redis.remove();
  } else console.log(`redis: ${isThere}`);
}
