import { describe, expect, test } from "vitest";
import { arrivalsRepository } from "../test/arrivals-repository.ts";
import { type AppliedDefinitions, assembleDefinitions, loadDefinitions } from "./applied-definitions.ts";
import { definitionsOf } from "./registry-head.ts";
import { headAfterApply, headAfterFilled, headWithout } from "./versions/next-head.ts";

const next = (window: string) => ({
  ...loadDefinitions(arrivalsRepository({ window })),
  revision: "",
  nowMs: 1_000,
});

/** What holds after an Apply; bodies of before are taken from there. */
function applied(before: AppliedDefinitions | undefined, window: string): AppliedDefinitions {
  const definitions = next(window);
  const { head } = headAfterApply(before, definitions);
  const older =
    before === undefined ? definitions : { declared: before.applied.repository, compiled: before.repository };
  const loaded = new Map(
    [...definitionsOf(head)].map((hash) => {
      const kept = head.kept.find((one) => one.definitions === hash);
      const found = kept && before?.kept.get(`${kept.service}@${kept.version}`);
      const { declared, compiled } = found ?? (hash === head.definitions ? definitions : older);
      if (declared === undefined) throw new Error("no definitions");
      return [hash, { declared, compiled }] as const;
    }),
  );
  return assembleDefinitions({ head, entryVersion: 1 }, loaded);
}

describe("a changed view", () => {
  const first = applied(undefined, "1h");
  const second = applied(first, "2h");
  const version = (definitions: AppliedDefinitions) =>
    definitions.repository.views.get("airport_delays")?.version ?? "";

  test("fills, and the services that read it are answered by the plan of before, whole", () => {
    expect(second.head.filling).toMatchObject([{ view: "airport_delays", before: { version: version(first) } }]);
    expect(second.plans.get("delay_v1")?.version).toBe(first.plans.get("delay_v1")?.version);
    const versions = second.plans
      .get("delay_v1")
      ?.views.map(({ stream }) => `${stream.view.name}@${stream.view.version}`);
    expect(versions).toContain(`airport_delays@${version(first)}`);
    expect(versions).not.toContain(`airport_delays@${version(second)}`);
    expect(second.liveViews.get(`airport_delays@${version(second)}`)?.state).toBe("FILLING");
    expect(second.answering.views.get("airport_delays")?.version).toBe(version(first));
  });

  test("takes over once it has caught up", () => {
    const head = headAfterFilled(second, new Set([`airport_delays@${version(second)}`]));
    expect(head).toMatchObject({ filling: [], answering: {} });
    expect(head.kept).toHaveLength(1);
  });

  test("that is changed again while it fills is still answered by the first version", () => {
    const third = applied(second, "3h");
    expect(third.head.answering).toEqual({ delay_v1: first.repository.services.get("delay_v1")?.version });
    expect(third.head.filling.at(-1)).toMatchObject({ before: { version: version(first) } });
  });

  test("that is changed back answers at once: its rows never stopped", () => {
    const back = applied(second, "1h");
    expect(back.head.answering).toEqual({});
    expect(back.plans.get("delay_v1")?.version).toBe(first.plans.get("delay_v1")?.version);
  });

  test("keeps no rows of a version that was let go of", () => {
    const [kept] = second.head.kept;
    const head = headWithout(second, new Set([`${kept?.service}@${kept?.version}`]));
    expect(head.kept).toEqual([]);
  });
});

describe("a prepared plan", () => {
  test("is the same object for every request, so that a request touches no definition", () => {
    const definitions = applied(undefined, "1h");
    const plan = definitions.plans.get("delay_v1");
    expect(plan).toBe(definitions.versionPlans.get(`delay_v1@${plan?.version}`));
  });
});
