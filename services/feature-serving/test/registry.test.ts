import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BackingServer, hasBacking, startRedis } from "@millrace/backing";
import { openKv } from "@millrace/kv";
import { afterAll, describe, expect, test } from "vitest";
import { loadDefinitions } from "../src/applied-definitions.ts";
import { Catalogue } from "../src/catalogue.ts";
import { Registry } from "../src/registry.ts";
import { definitionsOf } from "../src/registry-head.ts";
import { applyDefinitions } from "../src/versions/apply-definitions.ts";
import { arrivalsRepository } from "./arrivals-repository.ts";
import { startFeatureServing } from "./feature-serving-process.ts";

const folder = mkdtempSync(join(tmpdir(), "registry-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("the registry on LMDB", { timeout: 120_000 }, () => {
  losesNoUpdate(async () => `lmdb:${folder}/online`);
});

describe.skipIf(!hasBacking("redis"))("the registry on Redis", { timeout: 120_000 }, () => {
  let redis: BackingServer | undefined;
  afterAll(async () => {
    await redis?.remove();
  });
  losesNoUpdate(async () => {
    redis ??= await startRedis();
    return redis.url;
  });
});

function losesNoUpdate(start: () => Promise<string>): void {
  const withServices = (names: readonly string[]) => {
    const repository = arrivalsRepository();
    const featureServices = repository.featureServices.flatMap((service) =>
      names.map((name) => ({ ...service, name })),
    );
    return { ...repository, featureServices };
  };

  test("loses no update of many that read, add and apply at once: each adds its own, again after a conflict", async () => {
    const url = await start();
    const kvs = await Promise.all(Array.from({ length: 4 }, () => openKv(url)));
    const names = Array.from({ length: 12 }, (_, index) => `service_${index}`);
    let conflicts = 0;
    const add = async (name: string, index: number) => {
      const kv = kvs[index % kvs.length];
      if (kv === undefined) throw new Error("no store");
      const registry = new Registry(kv);
      const catalogue = new Catalogue(registry);
      for (;;) {
        await catalogue.refresh();
        const held = [...(catalogue.current?.repository.services.keys() ?? [])];
        const next = { ...loadDefinitions(withServices([...held, name])), revision: name, nowMs: Date.now() };
        try {
          return await applyDefinitions({ registry, catalogue }, catalogue.current, next);
        } catch (error) {
          if (!(error instanceof Error && "reasonName" in error && error.reasonName === "CONFLICT")) throw error;
          conflicts++;
        }
      }
    };
    const versions = await Promise.all(names.map(add));
    expect(versions.sort((a, b) => a - b)).toEqual(names.map((_, index) => index + 1));
    expect(conflicts).toBeGreaterThan(0);
    const [kv] = kvs;
    if (kv === undefined) throw new Error("no store");
    const catalogue = new Catalogue(new Registry(kv));
    await catalogue.refresh();
    expect([...(catalogue.current?.repository.services.keys() ?? [])].sort()).toEqual([...names].sort());
    for (const each of kvs) await each.close();
  });

  test("is the old one or the new one after a kill in the middle of Apply, and holds nothing that no head names", async () => {
    const url = await start();
    const stores = { onlineStoreUrl: url, eventLogUrl: `log:${mkdtempSync(join(folder, "log-"))}`, dataRoot: folder };
    for (const afterMs of [20, 60, 150]) {
      const service = await startFeatureServing(stores);
      const repository = arrivalsRepository({ window: `${2 + (afterMs % 7)}h` });
      const applied = service.client.apply({ repository }).then(
        () => undefined,
        () => undefined,
      );
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await service.kill();
      await applied;
      const kv = await openKv(url);
      const registry = new Registry(kv);
      const catalogue = new Catalogue(registry);
      await catalogue.refresh();
      const head = catalogue.current?.head;
      const held: string[] = [];
      for await (const [key] of kv.scan(new TextEncoder().encode("{registry}/definitions/"))) {
        held.push(new TextDecoder().decode(key).split("/").at(-1) ?? "");
      }
      expect(held.sort()).toEqual(head === undefined ? [] : [...definitionsOf(head)].sort());
      await kv.close();
    }
  });
}
