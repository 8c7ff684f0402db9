import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openKv } from "@millrace/kv";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const counters = 4;

describe("processes that share an LMDB folder", () => {
  let folder: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "millrace-kv-"));
  });
  afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (): { child: ChildProcess; added: number[]; ended: Promise<unknown> } => {
    const script = join(import.meta.dirname, "incrementing-process.ts");
    const args = ["--conditions=@millrace/source", script, `lmdb:${folder}`, `${counters}`];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    const added: number[] = [];
    const ended = once(child, "close");
    if (child.stdout !== null) createInterface({ input: child.stdout }).on("line", (line) => added.push(Number(line)));
    return { child, added, ended };
  };

  test("lose and double no addition, whichever of them is killed when", { timeout: 180_000 }, async () => {
    const kv = await openKv(`lmdb:${folder}`);
    const incarnation = await kv.incarnation();
    const acknowledged = new Array<number>(counters).fill(0);
    let killed = 0;
    for (let round = 0; round < 5; round++) {
      const pair = [start(), start()];
      await expect.poll(() => pair.every(({ added }) => added.length > 20), { timeout: 60_000 }).toBe(true);
      for (const { child } of pair) child.kill("SIGKILL");
      await Promise.all(pair.map(({ ended }) => ended));
      killed += pair.length;
      for (const turn of pair.flatMap(({ added }) => added)) acknowledged[turn] = (acknowledged[turn] ?? 0) + 1;
      // This process still writes: no lock was taken along.
      const [applied] = await kv.compareAndSetMany([
        { key: Buffer.from(`r${round}`), expectedVersion: 0, value: Buffer.alloc(1) },
      ]);
      expect(applied).toBe(true);
    }
    const entries = await kv.getManyVersioned(acknowledged.map((_, i) => Buffer.from(`{c}${i}`)));
    const counts = entries.map((entry) => Number(Buffer.from(entry?.value ?? []).toString()));
    expect(entries.map((entry) => entry?.version)).toEqual(counts);
    // A killed process may have applied one addition that it had no time to tell.
    counts.forEach((count, i) => {
      expect(count).toBeGreaterThanOrEqual(acknowledged[i] ?? 0);
    });
    const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
    expect(sum(counts) - sum(acknowledged)).toBeLessThanOrEqual(killed);
    expect(await kv.incarnation()).toBe(incarnation);
    await kv.close();
  });
});
