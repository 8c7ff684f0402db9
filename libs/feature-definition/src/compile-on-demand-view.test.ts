import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { describe, expect, test } from "vitest";
import { compileRepository } from "./compile-repository.ts";
import { DefinitionInvalidError } from "./definition-invalid-error.ts";
import { longestChain } from "./order-on-demand-views.ts";

const compiled = (onDemandViews: JsonObject[], features: string[]) =>
  compileRepository(
    fromJson(FeatureRepositorySchema, {
      entities: [{ name: "city", keys: [{ name: "city", type: "STRING" }] }],
      sources: [
        {
          name: "trips",
          fields: [
            { name: "city", type: "STRING" },
            { name: "fare", type: "DOUBLE" },
            { name: "at", type: "TIMESTAMP" },
          ],
          eventTime: "at",
          stream: { topic: "trips", format: "JSON" },
        },
      ],
      featureViews: [{ name: "last", entity: "city", source: "trips", features: [{ name: "fare" }] }],
      onDemandViews,
      featureServices: [{ name: "all", features }],
    }),
  );

const problemsOf = (onDemandViews: JsonObject[], features: string[] = ["last.fare"]) => {
  try {
    compiled(onDemandViews, features);
  } catch (error) {
    if (error instanceof DefinitionInvalidError) return error.problems.map(({ field, got }) => `${field}: ${got}`);
    throw error;
  }
  throw new Error("nothing was refused");
};

/** A view of one feature that is one more than the feature that it reads. */
const next = (name: string, input: string): JsonObject => ({
  name,
  inputs: [input],
  features: [{ name: "value", expression: `${input.replace(".", "__")} + 1` }],
});

describe("on-demand views that read one another", () => {
  test("are compiled each after those that it reads, wherever they stand", () => {
    const repository = compiled([next("c", "b.value"), next("b", "a.value"), next("a", "last.fare")], ["c.value"]);
    expect([...repository.onDemandViews.keys()]).toEqual(["a", "b", "c"]);
    const service = repository.services.get("all");
    expect(service?.features[0]?.type).toBe(ValueType.DOUBLE);
    expect(service?.entityKeys.map(({ name }) => name)).toEqual(["city"]);
  });

  test("ask for the request columns of all of them, each once", () => {
    const asking = (view: JsonObject, name: string): JsonObject => ({ ...view, request: [{ name, type: "INT64" }] });
    const views = [
      asking(next("a", "last.fare"), "hour"),
      asking(next("b", "a.value"), "day"),
      asking(next("c", "b.value"), "hour"),
    ];
    const { requestFields } = compiled(views, ["c.*"]).services.get("all") ?? { requestFields: [] };
    expect(requestFields.map(({ name }) => name).sort()).toEqual(["day", "hour"]);
  });

  test("get a new version where one that they read does", () => {
    const versions = (expression: string) => {
      const a = { name: "a", inputs: ["last.fare"], features: [{ name: "value", expression }] };
      const { onDemandViews, services } = compiled([a, next("b", "a.value"), next("c", "b.value")], ["c.value"]);
      return [onDemandViews.get("c")?.version, services.get("all")?.version];
    };
    const before = versions("last__fare * 2");
    expect(versions("( last__fare*2 )")).toEqual(before);
    const after = versions("last__fare * 3");
    expect(after[0]).not.toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
  });

  test("are refused in a circle, which is named once", () => {
    const circle = [next("a", "c.value"), next("b", "a.value"), next("c", "b.value"), next("reader", "a.value")];
    expect(problemsOf(circle)).toEqual(["onDemandViews[0].inputs: a → c → b → a"]);
    expect(problemsOf([next("self", "self.value")])).toEqual(["onDemandViews[0].inputs: self → self"]);
  });

  test("are refused beyond a depth, and twenty thousand of them in a row do not exhaust anything", () => {
    const chain = (length: number) =>
      Array.from({ length }, (_, index) => next(`v${index}`, index === 0 ? "last.fare" : `v${index - 1}.value`));
    expect(compiled(chain(longestChain), ["last.fare"]).onDemandViews.size).toBe(longestChain);
    expect(problemsOf(chain(longestChain + 1))).toEqual([`onDemandViews[${longestChain}].inputs: ${longestChain + 1}`]);
    const length = 20_000;
    expect(problemsOf(chain(length))).toHaveLength(length - longestChain);
    const [first = {}, ...others] = chain(length);
    const circle = problemsOf([{ ...first, inputs: [`v${length - 1}.value`] }, ...others]);
    expect(circle).toHaveLength(1);
  });

  test("are refused where the name of a column that callers send is that of a feature", () => {
    const request = [{ name: "last__fare", type: "DOUBLE" }];
    const view = { name: "a", request, features: [{ name: "value", expression: "last__fare" }] };
    expect(problemsOf([view], ["a.value", "last.fare"])).toEqual([
      "featureServices[0].features: a column that callers send, and the feature last.fare",
    ]);
  });
});
