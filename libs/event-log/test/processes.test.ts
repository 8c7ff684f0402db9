import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { openEventLog } from "@millrace/event-log";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

interface Said {
  readonly call?: number;
  readonly places?: readonly (readonly [partition: number, offset: number])[];
  readonly assigned?: readonly number[];
  readonly partition?: number;
  readonly offsets?: readonly number[];
}

const partitions = 3;

describe("processes that share a log's folder", () => {
  let folder: string;
  let url: string;
  let children: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "millrace-log-"));
    url = `log:${folder}`;
  });
  afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
    children = [];
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (
    script: string,
    ...args: readonly string[]
  ): { child: ChildProcess; said: Said[]; ended: Promise<unknown> } => {
    const path = join(import.meta.dirname, script);
    const child = spawn(process.execPath, ["--conditions=@millrace/source", path, url, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.push(child);
    const said: Said[] = [];
    const ended = once(child, "close");
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        // A killed process may leave half a line: nothing that it says was said.
        if (line.endsWith("}")) said.push(JSON.parse(line) as Said);
      });
    }
    return { child, said, ended };
  };

  const stored = async (): Promise<string[][]> => {
    const log = await openEventLog(url);
    const values = await Promise.all(
      Array.from({ length: partitions }, async (_, partition) => {
        const batches = await Array.fromAsync(log.read("t", { partition, offset: 0n }));
        const records = batches.flatMap((batch) => batch.records);
        expect(records.map(({ offset }) => Number(offset))).toEqual(records.map((_, i) => i));
        return records.map(({ value }) => Buffer.from(value ?? []).toString());
      }),
    );
    const bounds = await log.bounds("t");
    expect(bounds.map(({ end }) => Number(end))).toEqual(values.map(({ length }) => length));
    await log.close();
    return values;
  };

  test("lose and double nothing when an appender and a consumer are killed in the middle", {
    timeout: 90_000,
  }, async () => {
    const log = await openEventLog(url);
    await log.ensureTopic("t", partitions);
    const survivor = start("appending-process.ts", "a", "400");
    const victim = start("appending-process.ts", "b", "100000");
    const killedConsumer = start("consuming-process.ts", "1");
    await expect.poll(() => victim.said.length > 60 && killedConsumer.said.length > 20, { timeout: 60_000 }).toBe(true);
    victim.child.kill("SIGKILL");
    killedConsumer.child.kill("SIGKILL");
    await Promise.all([victim.ended, killedConsumer.ended]);
    const restarted = start("appending-process.ts", "c", "200");
    const consumer = start("consuming-process.ts", "0");
    await Promise.all([survivor.ended, restarted.ended]);
    expect([survivor.child.exitCode, restarted.child.exitCode]).toEqual([0, 0]);

    const values = await stored();
    const all = values.flat();
    const namedCall = (value: string): string => value.split(":").slice(0, 3).join(":");
    expect(new Set(all.map(namedCall)).size).toBe(all.length);
    // Everything that was acknowledged is where it was said to be.
    for (const [name, { said }] of Object.entries({ a: survivor, b: victim, c: restarted })) {
      for (const { call, places = [] } of said) {
        places.forEach(([partition, offset], i) => {
          expect(namedCall(values[partition]?.[offset] ?? "")).toBe(`${name}:${call}:${i}`);
        });
      }
    }
    expect(survivor.said.length).toBe(400);
    // Of the killed process at most the call under way is there without having been acknowledged.
    const written = all.filter((value) => value.startsWith("b:")).map((value) => Number(value.split(":")[1]));
    expect(Math.max(...written)).toBeLessThanOrEqual(victim.said.length);

    // The consumers together got every offset in order; only what the killed one had not committed came twice.
    await expect
      .poll(async () => (await log.committed("t", "g")).map(({ offset }) => Number(offset)), { timeout: 60_000 })
      .toEqual(values.map(({ length }) => length));
    for (let partition = 0; partition < partitions; partition++) {
      const offsets = ({ said }: { said: Said[] }): number[] =>
        said.flatMap((batch) => (batch.partition === partition ? (batch.offsets ?? []) : []));
      const before = offsets(killedConsumer);
      const after = offsets(consumer);
      expect(before).toEqual(before.map((_, i) => i));
      const from = after[0] ?? before.length;
      expect(before.length - from).toBeLessThanOrEqual(20);
      expect(from).toBeLessThanOrEqual(before.length);
      expect(after).toEqual(after.map((_, i) => from + i));
      expect(from + after.length).toBe(values[partition]?.length);
    }
    consumer.child.kill("SIGTERM");
    await consumer.ended;
    expect(consumer.child.exitCode).toBe(0);
    await log.close();
  });

  test("go on when any of them is killed at a random moment, again and again", { timeout: 180_000 }, async () => {
    const log = await openEventLog(url);
    await log.ensureTopic("t", partitions);
    const seed = Number(process.env.MILLRACE_SEED ?? Date.now() % 1_000_000);
    console.log(`MILLRACE_SEED=${seed}`);
    let state = seed;
    const random = (): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return state / 0x7fffffff;
    };
    let acknowledged = 0;
    for (let round = 0; round < 6; round++) {
      const pair = [
        start("appending-process.ts", `x${round}`, "100000"),
        start("appending-process.ts", `y${round}`, "100000"),
      ];
      await expect.poll(() => pair.every(({ said }) => said.length > 0), { timeout: 60_000 }).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, random() * 150));
      for (const { child } of pair) child.kill("SIGKILL");
      await Promise.all(pair.map(({ ended }) => ended));
      for (const { said } of pair) for (const { places = [] } of said) acknowledged += places.length;
      // This process, too, still appends: no lock was taken along.
      acknowledged += (await log.append("t", [{ value: Buffer.from(`z${round}:0:0`) }])).length;
    }
    const all = (await stored()).flat();
    expect(all.length).toBeGreaterThanOrEqual(acknowledged);
    expect(new Set(all.map((value) => value.split(":").slice(0, 3).join(":"))).size).toBe(all.length);
    await log.close();
  });

  test("take over the partitions of a killed member, and share with a new one", { timeout: 180_000 }, async () => {
    const log = await openEventLog(url);
    await log.ensureTopic("t", partitions);
    const a = start("consuming-process.ts", "0");
    await expect
      .poll(() => a.said.flatMap(({ assigned = [] }) => assigned).sort(), { timeout: 60_000 })
      .toEqual([0, 1, 2]);
    const b = start("consuming-process.ts", "0");
    await expect
      .poll(() => b.said.flatMap(({ assigned = [] }) => assigned).length, { timeout: 60_000 })
      .toBeGreaterThan(0);
    a.child.kill("SIGKILL");
    await expect
      .poll(() => b.said.flatMap(({ assigned = [] }) => assigned).sort(), { timeout: 60_000 })
      .toEqual([0, 1, 2]);
    b.child.kill("SIGTERM");
    await b.ended;
    expect(b.child.exitCode).toBe(0);
    await log.close();
  });
});
