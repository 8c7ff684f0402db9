import { randomBytes } from "node:crypto";
import { clone, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Run, RunSchema, RunState } from "@millrace/contracts/millrace/training/v1/training_service";
import type { Kv } from "@millrace/kv";
import { RunConflictError, RunUnknownError } from "./run-errors.ts";

const utf8 = new TextEncoder();
const runPrefix = "training/runs/";
const keyOfRun = (id: string): Uint8Array => utf8.encode(`${runPrefix}${id}`);
const keyOfIdempotency = (key: string): Uint8Array => utf8.encode(`training/idempotency/${key}`);

/**
 * The durable record of all runs, and who watches them.
 *
 * `change` writes: it is for what must survive (state, phase, epochs, results). `show` does not: it is for progress,
 * which a restart makes anew. Keys in the store: `training/runs/<id>` holds the Run as protobuf, and
 * `training/idempotency/<key>` the id of the run that was started with it.
 */
export class RunLedger {
  readonly #kv: Kv;
  readonly #live = new Map<string, Run>();
  readonly #watchers = new Map<string, Set<() => void>>();

  constructor(kv: Kv) {
    this.#kv = kv;
  }

  /**
   * Writes the record of a new run. With an idempotency key that was used before, the run of then is answered, and no
   * new one is made.
   */
  async create(run: Run, idempotencyKey: string): Promise<{ readonly run: Run; readonly isNew: boolean }> {
    if (idempotencyKey !== "") {
      const key = keyOfIdempotency(idempotencyKey);
      await this.#kv.compareAndSetMany([{ key, expectedVersion: 0, value: utf8.encode(run.id) }]);
      const [first] = await this.#kv.getMany([key]);
      run.id = new TextDecoder().decode(first);
    }
    const value = toBinary(RunSchema, run);
    const [isNew] = await this.#kv.compareAndSetMany([{ key: keyOfRun(run.id), expectedVersion: 0, value }]);
    return isNew === true ? { run, isNew: true } : { run: await this.get(run.id), isNew: false };
  }

  /** @throws RunUnknownError */
  async get(id: string): Promise<Run> {
    const live = this.#live.get(id);
    if (live !== undefined) {
      return clone(RunSchema, live);
    }
    const [bytes] = await this.#kv.getMany([keyOfRun(id)]);
    if (bytes === undefined) {
      throw new RunUnknownError(id);
    }
    return fromBinary(RunSchema, bytes);
  }

  /** All runs, the newest first. */
  async all(): Promise<Run[]> {
    const runs: Run[] = [];
    for await (const [, bytes] of this.#kv.scan(utf8.encode(runPrefix))) {
      const run = fromBinary(RunSchema, bytes);
      runs.push(this.#live.get(run.id) ?? run);
    }
    return runs.sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  /**
   * Changes a run's record durably, and tells who watches it.
   * @param edit may throw, and then nothing is changed. It may be called again where another process was faster.
   * @throws RunUnknownError, RunConflictError
   */
  async change(id: string, edit: (run: Run) => void): Promise<Run> {
    for (let attempt = 0; attempt < 5; attempt++) {
      const key = keyOfRun(id);
      const [stored] = await this.#kv.getManyVersioned([key]);
      if (stored === undefined) {
        throw new RunUnknownError(id);
      }
      const run = fromBinary(RunSchema, stored.value);
      const live = this.#live.get(id);
      if (live?.progress !== undefined) {
        run.progress = live.progress;
      }
      edit(run);
      const write = { key, expectedVersion: stored.version, value: toBinary(RunSchema, run) };
      const [written] = await this.#kv.compareAndSetMany([write]);
      if (written === true) {
        this.#settle(run);
        return clone(RunSchema, run);
      }
    }
    throw new RunConflictError(id);
  }

  /** Shows progress to who asks or watches, without writing it. */
  show(id: string, edit: (run: Run) => void): void {
    const run = this.#live.get(id);
    if (run !== undefined) {
      edit(run);
      this.#tell(id);
    }
  }

  /** The run as it is, then after each change, until it is over. Changes that come faster than they are read are one. */
  async *watch(id: string, signal: AbortSignal): AsyncIterable<Run> {
    let changed = Promise.withResolvers<void>();
    const wake = (): void => changed.resolve();
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(wake));
    signal.addEventListener("abort", wake);
    try {
      for (;;) {
        changed = Promise.withResolvers<void>();
        const run = await this.get(id);
        yield run;
        if (isOver(run.state)) {
          return;
        }
        await changed.promise;
        signal.throwIfAborted();
      }
    } finally {
      signal.removeEventListener("abort", wake);
      watchers.delete(wake);
      if (watchers.size === 0) {
        this.#watchers.delete(id);
      }
    }
  }

  #settle(run: Run): void {
    if (run.state === RunState.RUNNING) {
      this.#live.set(run.id, clone(RunSchema, run));
    } else {
      this.#live.delete(run.id);
    }
    this.#tell(run.id);
  }

  #tell(id: string): void {
    for (const wake of this.#watchers.get(id) ?? []) {
      wake();
    }
  }
}

/** Whether a run will change no more. */
export const isOver = (state: RunState): boolean => state !== RunState.QUEUED && state !== RunState.RUNNING;

/** An id that sorts by the time at which it was made. */
export const newRunId = (nowMs: number): string =>
  `run-${nowMs.toString(36).padStart(9, "0")}-${randomBytes(5).toString("hex")}`;
