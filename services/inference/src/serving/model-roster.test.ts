import { VersionStatus_State as State } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { expect, test } from "vitest";
import { ModelRoster } from "./model-roster.ts";
import type { Servable } from "./servable.ts";

/** Something to serve whose draining ends when it is told to. */
const servable = (version: string) => {
  const drained = Promise.withResolvers<void>();
  const served = {
    name: "m",
    version,
    origin: { reference: "", digest: "", repository: "", manifest: undefined },
    alive: true,
    retire: () => drained.promise,
  } as unknown as Servable;
  return { served, drain: () => drained.resolve() };
};

test("a version that is replaced twice while its first one still drains leaves none behind", async () => {
  const roster = new ModelRoster();
  const all = [servable("1"), servable("1"), servable("1")];
  const records = all.map(() => roster.begin("m", "1", "file"));
  const gone = all.map(({ served }, index) => {
    const record = records[index];
    if (record === undefined) throw new RangeError("There is a record for each.");
    return roster.serve("m", record, served);
  });
  expect(records.map(({ state }) => state)).toEqual([State.DRAINING, State.DRAINING, State.READY]);
  expect(roster.find("m", "1")).toBe(all[2]?.served);
  // The second is gone before the first.
  all[1]?.drain();
  await gone[2];
  expect(records.map(({ state }) => state)).toEqual([State.DRAINING, State.UNLOADED, State.READY]);
  all[0]?.drain();
  await Promise.all(gone);
  expect(records.map(({ state }) => state)).toEqual([State.UNLOADED, State.UNLOADED, State.READY]);
});
