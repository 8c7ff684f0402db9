import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Kv, openKv } from "@millrace/kv";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AppliedWatch } from "./applied-watch.ts";
import { addCheckpoint, emptyProgress, ProgressStore, rewind } from "./progress.ts";

const folder = mkdtempSync(join(tmpdir(), "applied-watch-"));

describe("waiting for applied rows", () => {
  let kv: Kv;
  beforeAll(async () => {
    kv = await openKv(`lmdb:${folder}`);
  });
  afterAll(async () => {
    await kv.close();
    rmSync(folder, { recursive: true });
  });

  test("ends when the worker of this process tells of the position, for every view", async () => {
    const watch = new AppliedWatch(new ProgressStore(kv, "told"));
    let isOver = false;
    const targets = [{ partition: 1, offset: 5n }];
    const waiting = watch.wait("t", "e", ["a@1", "b@1"], targets, new AbortController().signal).then((applied) => {
      isOver = true;
      return applied;
    });
    watch.notify([{ topic: "t", epoch: "e", partition: 1, positions: { "a@1": 5, "b@1": 4 } }]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(isOver).toBe(false);
    watch.notify([{ topic: "t", epoch: "e", partition: 1, positions: { "a@1": 5, "b@1": 6 } }]);
    expect(await waiting).toEqual([{ partition: 1, offset: 5n }]);
  });

  test("ends when another process stores the position", async () => {
    const progress = new ProgressStore(kv, "stored");
    const watch = new AppliedWatch(progress);
    const waiting = watch.wait("t", "e", ["a@1"], [{ partition: 0, offset: 2n }], new AbortController().signal);
    await progress.write("t", 0, { ...emptyProgress("e", "life"), positions: { "a@1": 2 } });
    expect(await waiting).toEqual([{ partition: 0, offset: 2n }]);
  });

  test("does not take the positions of a topic's former life", async () => {
    const progress = new ProgressStore(kv, "former");
    await progress.write("t", 0, { ...emptyProgress("old", "life"), positions: { "a@1": 9 } });
    const watch = new AppliedWatch(progress);
    const stop = new AbortController();
    const waiting = watch.wait("t", "new", ["a@1"], [{ partition: 0, offset: 2n }], stop.signal);
    stop.abort(new Error("given up"));
    await expect(waiting).rejects.toThrow("given up");
  });
});

describe("the progress of a partition", () => {
  let kv: Kv;
  beforeAll(async () => {
    kv = await openKv(`lmdb:${folder}-progress`);
  });
  afterAll(async () => {
    await kv.close();
    rmSync(`${folder}-progress`, { recursive: true });
  });

  test("keeps the further of two workers, view by view, and forgets another life of the store", async () => {
    const progress = new ProgressStore(kv, "group");
    await progress.write("t", 0, { ...emptyProgress("e", "one"), positions: { "a@1": 9, "b@1": 2 } });
    await progress.write("t", 0, { ...emptyProgress("e", "one"), positions: { "a@1": 4, "b@1": 5 } });
    expect((await progress.read("t", [0]))[0]?.positions).toEqual({ "a@1": 9, "b@1": 5 });
    await progress.write("t", 0, { ...emptyProgress("e", "two"), positions: { "a@1": 4, "b@1": 5 } });
    expect((await progress.read("t", [0]))[0]?.positions).toEqual({ "a@1": 4, "b@1": 5 });
  });

  test("goes back to where it stood a rewind ago, and to the beginning where that is not known", () => {
    const progress = { ...emptyProgress("e", "one"), positions: { "a@1": 500 } };
    for (let second = 0; second <= 120; second++) addCheckpoint(progress, second * 4, second * 1000, 60_000);
    expect(progress.checkpoints.length).toBeLessThan(10);
    rewind(progress, 120_000, 60_000);
    expect(progress.positions["a@1"]).toBe(240);
    rewind(progress, 30_000, 60_000);
    expect(progress.positions["a@1"]).toBe(0);
  });
});
