import type { ModelInstance } from "./model-instance.ts";
import type { ModelLane } from "./model-lane.ts";
import type { ModelStatistics } from "./model-statistics.ts";

/** What a supervisor tells of the instances that it looks after. */
export interface InstanceObserver {
  /** The thread of one ended by itself. @param retryInMs when another is started; 0 where one is already. */
  onLost(error: unknown, retryInMs: number): void;
  /** One is in a run that takes longer than it may. @param standsIn whether another is started meanwhile. */
  onWedged(standsIn: boolean): void;
  /** Another was started in the place of one that was lost, or that is wedged. */
  onReplaced(): void;
  /** Starting another failed. @param retryInMs when it is tried again; 0 where it is not, since a wedged one may return. */
  onFailed(error: unknown, retryInMs: number): void;
}

export interface SupervisorOptions {
  readonly count: number;
  /** Starts an instance, which calls back when it is wedged, free again, or lost. */
  readonly start: (onChange: () => void) => Promise<ModelInstance>;
  /** Takes memory for one more instance than `count`. @throws MemoryBudgetError */
  readonly takeMemory: () => () => void;
  readonly statistics: ModelStatistics;
  readonly observer: InstanceObserver;
}

/** One instance that is looked after. */
interface Member {
  readonly instance: ModelInstance;
  readonly startedMs: number;
  /** Whether it is in a run that takes too long. */
  wedged: boolean;
}

const firstRetryMs = 100;
const longestRetryMs = 30_000;
/** An instance that lived this long was no failure of its start. */
const steadyMs = 10_000;

/**
 * Keeps a model's instances at their number: one that is lost is replaced, after a pause that doubles while they do not
 * live long; while one is wedged another stands in for it, where the memory budget has room and no more than `count` do
 * already, and the surplus is retired when the run returns after all.
 */
export class InstanceSupervisor {
  readonly #options: SupervisorOptions;
  readonly #members = new Set<Member>();
  #lane: ModelLane | undefined;
  #closing = false;
  #starting = 0;
  /** Instances that are too many, whose threads have not ended yet. */
  #retiring = 0;
  /** Gives back the memory taken for threads beyond `count`, one each. */
  readonly #extra: (() => void)[] = [];
  #retryMs = firstRetryMs;
  readonly #retries = new Set<NodeJS.Timeout>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Starts `count` instances. @throws what starting one throws; `close` retires those that were started. */
  async start(): Promise<readonly ModelInstance[]> {
    for (let index = 0; index < this.#options.count; index++) await this.#add();
    return [...this.#members].map(({ instance }) => instance);
  }

  /** Gives the instances to a lane, which is given further ones as they come. */
  serve(lane: ModelLane): void {
    this.#lane = lane;
    for (const { instance } of this.#members) lane.add(instance);
  }

  /** Retires all instances after their current runs, and starts no more. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const retry of this.#retries) clearTimeout(retry);
    await Promise.all([...this.#members].map(({ instance }) => instance.close()));
  }

  /** Whether one is in a run, which may never return. */
  get inRun(): boolean {
    return [...this.#members].some(({ instance: { state } }) => state === "running" || state === "wedged");
  }

  /** @returns whether it takes work. */
  async #add(): Promise<boolean> {
    let member: Member | undefined;
    this.#starting++;
    let instance: ModelInstance;
    try {
      instance = await this.#options.start(() => {
        if (member !== undefined) this.#look(member);
      });
    } finally {
      this.#starting--;
    }
    member = { instance, startedMs: performance.now(), wedged: false };
    this.#members.add(member);
    // It may have ended while the promise of its start was on its way.
    if (instance.state === "retired") this.#look(member);
    else if (this.#closing) await instance.close();
    else if (this.#able > this.#options.count) await this.#retire(member);
    else {
      this.#lane?.add(instance);
      return true;
    }
    return false;
  }

  #look(member: Member): void {
    const { instance } = member;
    if (instance.state === "retired") this.#lost(member);
    else if (instance.state === "wedged" && !member.wedged) this.#wedged(member);
    else if (instance.state === "free" && member.wedged) this.#unwedged(member);
    else this.#lane?.onInstanceChange();
  }

  #lost(member: Member): void {
    if (!this.#members.delete(member)) return;
    const { observer, statistics } = this.#options;
    this.#lane?.remove(member.instance);
    this.#giveBack();
    if (this.#closing) return;
    if (performance.now() - member.startedMs >= steadyMs) this.#retryMs = firstRetryMs;
    const isNeeded = this.#able + this.#starting + this.#retries.size < this.#options.count;
    const retryInMs = isNeeded ? this.#nextRetryMs() : 0;
    statistics.instances.lost++;
    observer.onLost(member.instance.lostBy, retryInMs);
    if (isNeeded) this.#retry(retryInMs);
  }

  #wedged(member: Member): void {
    member.wedged = true;
    const { count, observer, statistics } = this.#options;
    statistics.instances.wedged++;
    const coming = this.#starting + this.#retries.size;
    let standsIn = this.#able + coming >= count;
    // A model whose every run is wedged must not take one thread after the other.
    if (!this.#closing && !standsIn && this.#members.size + coming < 2 * count) {
      try {
        this.#takeForOneMore();
        standsIn = true;
        void this.#replace();
      } catch {
        // Without room for another one the model waits for this one; the observer is told.
      }
    }
    observer.onWedged(standsIn);
    this.#lane?.onInstanceChange();
  }

  /** A wedged run returned after all. Where another stands in for it, one of them is too many. */
  #unwedged(member: Member): void {
    member.wedged = false;
    if (this.#closing || this.#able <= this.#options.count) this.#lane?.onInstanceChange();
    else void this.#retire(member);
  }

  /** Retires one that is free and too many. Its thread takes memory until it ends. */
  async #retire(member: Member): Promise<void> {
    this.#members.delete(member);
    this.#lane?.remove(member.instance);
    this.#retiring++;
    await member.instance.close();
    this.#retiring--;
    this.#giveBack();
  }

  /** Instances that are not wedged. */
  get #able(): number {
    let able = 0;
    for (const { wedged } of this.#members) if (!wedged) able++;
    return able;
  }

  /** Threads that live or start, beyond `count`. */
  get #surplus(): number {
    return this.#members.size + this.#retiring + this.#starting - this.#options.count;
  }

  /** @throws MemoryBudgetError */
  #takeForOneMore(): void {
    if (this.#surplus + 1 > this.#extra.length) this.#extra.push(this.#options.takeMemory());
  }

  #giveBack(): void {
    while (this.#extra.length > Math.max(0, this.#surplus)) this.#extra.pop()?.();
  }

  #retry(inMs: number): void {
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      // A wedged one may have come back meanwhile.
      if (this.#able + this.#starting >= this.#options.count) return;
      try {
        this.#takeForOneMore();
      } catch (error) {
        this.#failed(error);
        return;
      }
      void this.#replace();
    }, inMs);
    this.#retries.add(timer);
  }

  /** Starts one more; memory for it is taken. */
  async #replace(): Promise<void> {
    try {
      if (!(await this.#add())) return;
      this.#options.statistics.instances.replaced++;
      this.#options.observer.onReplaced();
    } catch (error) {
      this.#giveBack();
      if (!this.#closing) this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    // A wedged one that has no stand-in heals by itself; one that was lost does not.
    const isNeeded = this.#members.size + this.#starting + this.#retries.size < this.#options.count;
    const retryInMs = isNeeded ? this.#nextRetryMs() : 0;
    this.#options.observer.onFailed(error, retryInMs);
    if (isNeeded) this.#retry(retryInMs);
  }

  #nextRetryMs(): number {
    const retryMs = this.#retryMs;
    this.#retryMs = Math.min(longestRetryMs, retryMs * 2);
    return retryMs;
  }
}
