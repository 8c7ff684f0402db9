import { create } from "@bufbuild/protobuf";
import { EvaluationSchema } from "@millrace/contracts/millrace/model/v1/model_package";
import { describe, expect, test } from "vitest";
import type { ArtifactStore } from "../artifact-store.ts";
import { type Digest, digestOf } from "../digest.ts";
import { mediaTypes } from "../media-types.ts";
import { expectReason } from "../model-store.contract.ts";
import type { ModelStore } from "../model-store.ts";
import { attachReferrer } from "../referrer.ts";
import { samplePackage } from "../sample-package.fixture.ts";

/** What holds of promotions in every store. `stores` gives the open ones of the running test. */
export const promotionContract = (
  stores: () => { readonly store: ModelStore; readonly artifacts: ArtifactStore },
): void => {
  describe("a promotion", () => {
    const push = async (card: string, passed?: boolean): Promise<Digest> => {
      const content = samplePackage({ card });
      if (passed !== undefined) {
        const gates = [{ metric: "ROC_AUC", rule: "ROC_AUC at least 0.7", value: passed ? 0.75 : 0.65, passed }];
        content.manifest.evaluation = create(EvaluationSchema, { gates });
      }
      return (await stores().store.push("flight_delay", content, [])).digest;
    };
    const promote = (digest: string, changes: { by?: string; despiteGates?: boolean } = {}) =>
      stores().store.promote(`flight_delay@${digest}`, {
        tag: "production",
        by: "release@example.org",
        reason: "better in the canary",
        ...changes,
      });
    const history = () => stores().store.promotions("flight_delay", "production");

    test("moves the tag, and says who, when, why and from what", async () => {
      const [first, second] = [await push("one", true), await push("two")];
      expect(await history()).toEqual([]);
      const before = Date.now();
      const promoted = await promote(first);
      const gates = [{ rule: "ROC_AUC at least 0.7", value: 0.75, passed: true }];
      const expected = { tag: "production", by: "release@example.org", reason: "better in the canary" };
      expect(promoted).toEqual({ ...expected, from: undefined, to: first, at: expect.any(Date), gates });
      expect(promoted.at.getTime()).toBeGreaterThanOrEqual(before);
      await promote(second, { by: "a pipeline" });
      expect((await stores().store.resolve("flight_delay:production")).digest).toBe(second);
      expect(await history()).toMatchObject([
        { ...expected, by: "a pipeline", from: first, to: second, gates: [] },
        { ...expected, from: undefined, to: first, gates },
      ]);
      expect(await stores().store.tags("flight_delay")).toEqual(["production"]);
      expect((await stores().store.pull("flight_delay:production")).manifest.name).toBe("flight_delay");
    });

    test("back to an older package is one more, and each package may come and go often", async () => {
      const [a, b, c] = [await push("a"), await push("b"), await push("c")];
      const order = [a, b, a, c, b, a];
      for (const digest of order) await promote(digest);
      const found = await history();
      expect(found.map(({ to }) => to)).toEqual(order.toReversed());
      expect(found.map(({ from }) => from)).toEqual([...order.slice(0, -1).toReversed(), undefined]);
      const times = found.map(({ at }) => at.getTime());
      expect(times).toEqual(times.toSorted((one, other) => other - one));
      expect(new Set(times).size).toBe(order.length);
    });

    test("that is made again writes nothing", async () => {
      const digest = await push("once");
      const first = await promote(digest);
      expect(await promote(digest, { by: "someone else" })).toEqual(first);
      expect(await history()).toEqual([first]);
    });

    test("of a package whose gates were not passed is refused, unless it is said that it shall be", async () => {
      const [good, bad] = [await push("good", true), await push("bad", false)];
      await promote(good);
      const error = await expectReason(promote(bad), "PROMOTION_REFUSED", "FAILED_PRECONDITION");
      expect(error.message).toContain("its gates were not passed: ROC_AUC at least 0.7, it is 0.6500");
      expect((await stores().store.resolve("flight_delay:production")).digest).toBe(good);
      await promote(bad, { despiteGates: true });
      const broken = samplePackage({ card: "no number" });
      const gates = [{ metric: "R2", rule: "R2 at least 0", value: Number.NaN, passed: false }];
      broken.manifest.evaluation = create(EvaluationSchema, { gates });
      const { digest } = await stores().store.push("flight_delay", broken);
      await promote(digest, { despiteGates: true });
      expect((await history())[0]?.gates).toEqual([{ rule: "R2 at least 0", value: Number.NaN, passed: false }]);
      await promote(bad, { despiteGates: true });
      expect((await history()).map(({ to, gates }) => [to, gates[0]?.passed])).toEqual([
        [bad, false],
        [digest, false],
        [bad, false],
        [good, true],
      ]);
    });

    test("of what is no package, or to what is no tag, is refused", async () => {
      await expectReason(promote(`sha256:${"0".repeat(64)}`), "PACKAGE_UNKNOWN", "NOT_FOUND");
      const digest = await push("x");
      const order = { tag: "-", by: "", reason: "" };
      const call = stores().store.promote(`flight_delay@${digest}`, order);
      await expectReason(call, "FIELD_INVALID", "INVALID_ARGUMENT");
    });

    test("is found beside broken records and those of others", async () => {
      const digest = await push("beside");
      await promote(digest);
      const subject = { mediaType: mediaTypes.manifest, digest, size: 1 };
      const { artifacts } = stores();
      const elsewhere = digestOf(new Uint8Array([1]));
      for (const value of [7, {}, { tag: "production", to: elsewhere }, { tag: "production", to: digest, by: 1 }]) {
        const content = { mediaType: mediaTypes.promotion, value, annotations: {} };
        await attachReferrer(artifacts, "flight_delay", subject, content);
      }
      expect(await history()).toMatchObject([{ to: digest, by: "release@example.org" }]);
    });

    test("of two at the same moment leaves the tag on one whose record says so", async () => {
      const [start, one, other] = [await push("start"), await push("one"), await push("other")];
      await promote(start);
      const ended = await Promise.allSettled([promote(one), promote(other)]);
      const { digest } = await stores().store.resolve("flight_delay:production");
      const found = await history();
      expect(found[0]?.to).toBe(digest);
      expect(found.at(-1)).toMatchObject({ to: start, from: undefined });
      for (const { status, ...rest } of ended) {
        if (status === "rejected") expect(rest).toMatchObject({ reason: { code: "ABORTED", reasonName: "CONFLICT" } });
      }
      expect(ended.some(({ status }) => status === "fulfilled")).toBe(true);
    });

    test("of a tag that was moved otherwise ends the history there", async () => {
      const [one, other] = [await push("one"), await push("other")];
      await promote(one);
      await stores().store.tag("flight_delay", other, "production");
      expect(await history()).toEqual([]);
      await promote(one);
      expect((await history()).map(({ to, from }) => [to, from])).toEqual([[one, other]]);
    });
  });
};
