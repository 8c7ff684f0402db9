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
  /** Starting another failed. @param retryInMs when it is tried again. */
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

/** One instance, and what is to be given back when it is gone. */
interface Member {
  readonly instance: ModelInstance;
  readonly startedMs: number;
  /** Whether it is in a run that takes too long. */
  wedged: boolean;
  /** Memory beyond that of `count` instances. */
  release: (() => void) | undefined;
}

const firstRetryMs = 100;
const longestRetryMs = 30_000;
/** An instance that lived this long was no failure of its start. */
const steadyMs = 10_000;

/**
 * Keeps a model's instances at their number: one that is lost is replaced, after a pause that doubles while they do not
 * live long; while one is wedged another stands in for it, where the memory budget has room, and the surplus is retired
 * when the run returns after all.
 */
export class InstanceSupervisor {
  readonly #options: SupervisorOptions;
  readonly #members = new Set<Member>();
  #lane: ModelLane | undefined;
  #closing = false;
  #starting = 0;
  #retryMs = firstRetryMs;
  readonly #retries = new Set<NodeJS.Timeout>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Starts `count` instances. @throws what starting one throws; `close` retires those that were started. */
  async start(): Promise<readonly ModelInstance[]> {
    for (let index = 0; index < this.#options.count; index++) await this.#add(undefined);
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

  async #add(release: (() => void) | undefined): Promise<void> {
    let member: Member | undefined;
    const instance = await this.#options.start(() => {
      if (member !== undefined) this.#look(member);
    });
    member = { instance, startedMs: performance.now(), wedged: false, release };
    this.#members.add(member);
    // It may have ended while the promise of its start was on its way.
    if (instance.state === "retired") this.#look(member);
    else if (this.#closing) await instance.close();
    else this.#lane?.add(instance);
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
    const isNeeded = !this.#closing && this.#able + this.#starting < this.#options.count;
    // Where another stands in for this one already, that one's memory is no longer beyond the usual.
    if (!isNeeded && member.release === undefined) {
      for (const other of this.#members) {
        if (other.release === undefined) continue;
        other.release();
        other.release = undefined;
        break;
      }
    }
    member.release?.();
    if (this.#closing) return;
    if (performance.now() - member.startedMs >= steadyMs) this.#retryMs = firstRetryMs;
    const retryInMs = isNeeded ? this.#nextRetryMs() : 0;
    statistics.instances.lost++;
    observer.onLost(member.instance.lostBy, retryInMs);
    if (isNeeded) this.#retry(retryInMs);
  }

  #wedged(member: Member): void {
    member.wedged = true;
    this.#options.statistics.instances.wedged++;
    let release: (() => void) | undefined;
    try {
      if (!this.#closing) release = this.#options.takeMemory();
    } catch {
      // Without room for another one the model waits for this one; the observer is told.
    }
    this.#options.observer.onWedged(release !== undefined);
    if (release !== undefined) void this.#replace(release);
    this.#lane?.onInstanceChange();
  }

  /** A wedged run returned after all. Where another stands in for it, one of them is too many. */
  #unwedged(member: Member): void {
    member.wedged = false;
    if (this.#closing || this.#able + this.#starting <= this.#options.count) {
      this.#lane?.onInstanceChange();
      return;
    }
    // The memory that was taken for the one that stands in is given back when this one is gone.
    const other = [...this.#members].find(({ release }) => release !== undefined);
    if (other !== undefined && other !== member) {
      [member.release, other.release] = [other.release, member.release];
    }
    this.#members.delete(member);
    this.#lane?.remove(member.instance);
    void member.instance.close().then(member.release);
  }

  /** Instances that are not wedged. */
  get #able(): number {
    let able = 0;
    for (const { wedged } of this.#members) if (!wedged) able++;
    return able;
  }

  #retry(inMs: number): void {
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      void this.#replace(undefined);
    }, inMs);
    this.#retries.add(timer);
  }

  async #replace(release: (() => void) | undefined): Promise<void> {
    this.#starting++;
    try {
      await this.#add(release);
      this.#options.statistics.instances.replaced++;
      this.#options.observer.onReplaced();
    } catch (error) {
      release?.();
      if (this.#closing) return;
      const retryInMs = this.#nextRetryMs();
      this.#options.observer.onFailed(error, retryInMs);
      // A wedged one that has no stand-in heals by itself; one that was lost does not.
      if (release === undefined) this.#retry(retryInMs);
    } finally {
      this.#starting--;
    }
  }

  #nextRetryMs(): number {
    const retryMs = this.#retryMs;
    this.#retryMs = Math.min(longestRetryMs, retryMs * 2);
    return retryMs;
  }
}
