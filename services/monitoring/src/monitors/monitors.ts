import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Monitor } from "@millrace/contracts/millrace/monitoring/v1/monitor";
import { AppliedMonitorsSchema } from "@millrace/contracts/millrace/monitoring/v1/state";
import type { Kv } from "@millrace/kv";
import { monitorsKey } from "../state-keys.ts";
import { defaultMonitor, type WatchRules, watchRules } from "./watch-rules.ts";

/** The monitors in force, by model. A model without one is watched by the default. */
export class Monitors {
  readonly #kv: Kv;
  readonly #applied = new Map<string, WatchRules>();
  readonly #defaults = new Map<string, WatchRules>();
  #version = 0;

  constructor(kv: Kv) {
    this.#kv = kv;
  }

  /** Reads what is stored; also what another replica has applied since. */
  async load(): Promise<this> {
    const [entry] = await this.#kv.getManyVersioned([monitorsKey()]);
    if (entry === undefined || entry.version === this.#version) return this;
    for (const [model, monitor] of Object.entries(fromBinary(AppliedMonitorsSchema, entry.value).monitors))
      this.#applied.set(model, watchRules(monitor));
    this.#version = entry.version;
    return this;
  }

  /** Puts a monitor in force and keeps it. @throws MonitorInvalidError */
  async apply(monitor: Monitor): Promise<Monitor> {
    const rules = watchRules(monitor);
    const key = monitorsKey();
    for (;;) {
      const [entry] = await this.#kv.getManyVersioned([key]);
      const all = entry === undefined ? create(AppliedMonitorsSchema) : fromBinary(AppliedMonitorsSchema, entry.value);
      all.monitors[monitor.model] = monitor;
      const value = toBinary(AppliedMonitorsSchema, all);
      if (await this.#kv.transact([{ key, expectedVersion: entry?.version ?? 0, value }])) break;
    }
    this.#applied.set(monitor.model, rules);
    return rules.monitor;
  }

  rulesOf(model: string): WatchRules {
    const applied = this.#applied.get(model);
    if (applied !== undefined) return applied;
    let rules = this.#defaults.get(model);
    if (rules === undefined) {
      rules = watchRules(defaultMonitor(model));
      this.#defaults.set(model, rules);
    }
    return rules;
  }

  /** Models that have a monitor of their own. */
  models(): readonly string[] {
    return [...this.#applied.keys()];
  }
}
