import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { OnDemandView } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { compileFields } from "./compile-source.ts";
import { refuseRepeatedNames } from "./compile-view.ts";
import type { CompiledField, CompiledOnDemandView, CompiledRepository } from "./compiled.ts";
import { placeOf } from "./definition-origin.ts";
import { shortDigest } from "./digest.ts";
import { compileExpression, expressionMeaning } from "./expression/compile-expression.ts";
import { longestChain, orderOnDemandViews } from "./order-on-demand-views.ts";
import type { Problems } from "./problems.ts";
import { featureTypes, fullNameOf, storedViewOf } from "./view-features.ts";

type Views = Pick<CompiledRepository, "views" | "joinedViews" | "onDemandViews">;

/**
 * Compiles on-demand views. Their inputs are features of stored and joined views, and of on-demand views that do not read
 * them in turn.
 * @returns them in an order in which each comes after those that it reads.
 */
export const compileOnDemandViews = (
  views: readonly OnDemandView[],
  stored: Pick<CompiledRepository, "views" | "joinedViews">,
  problems: Problems,
): Map<string, CompiledOnDemandView> => {
  const onDemandViews = new Map<string, CompiledOnDemandView>();
  const declared = new Map(views.map((view) => [view.name, view]));
  const places = new Map(views.map((view, index) => [view, placeOf(view, `onDemandViews[${index}]`)]));
  const { ordered, cycles, tooDeep } = orderOnDemandViews(views);
  for (const cycle of cycles) {
    const [first] = cycle;
    const way = [...cycle, ...cycle.slice(0, 1)].map(({ name }) => name).join(" → ");
    if (first !== undefined) problems.add(`${places.get(first)}.inputs`, "features that do not come back to it", way);
  }
  for (const [view, depth] of tooDeep) {
    problems.add(`${places.get(view)}.inputs`, `at most ${longestChain} on-demand views on one another`, `${depth}`);
  }
  for (const view of ordered) {
    const place = places.get(view) ?? view.name;
    onDemandViews.set(view.name, compileOnDemandView(view, { ...stored, onDemandViews }, declared, place, problems));
  }
  return onDemandViews;
};

const compileOnDemandView = (
  view: OnDemandView,
  repository: Views,
  declared: ReadonlyMap<string, OnDemandView>,
  place: string,
  problems: Problems,
): CompiledOnDemandView => {
  const request = compileFields(view.request, `${place}.request`, problems);
  const inputs = compileInputs(view, repository, declared, `${place}.inputs`, problems);
  const schema: CompiledField[] = [
    ...request,
    ...inputs.map(({ view: from, feature, type }) => ({ name: fullNameOf(from, feature), type })),
  ];
  refuseRepeatedNames(schema, `${place}: request and inputs`, problems);
  refuseRepeatedNames(view.features, `${place}.features`, problems);
  const features = view.features.flatMap((feature, at) => {
    if (feature.length !== 0) {
      const expected = "none, since a computed list may have any length";
      problems.add(`${place}.features[${at}].length`, expected, String(feature.length));
    }
    const type = feature.type === ValueType.VALUE_TYPE_UNSPECIFIED ? undefined : feature.type;
    const expression = problems.expression(`${place}.features[${at}].expression`, () =>
      compileExpression(feature.expression === "" ? feature.name : feature.expression, schema, type),
    );
    return expression === undefined ? [] : [{ name: feature.name, type: expression.type, expression }];
  });
  return {
    name: view.name,
    version: shortDigest({
      schema: schema.map(({ name, type }) => [name, type]),
      inputs: inputs.map((input) => [input.view, versionOf(input.view, repository), input.feature]),
      features: features.map(({ name, type, expression }) => [name, type, expressionMeaning(expression)]),
    }),
    request,
    inputs: inputs.map(({ view: from, feature }) => ({ view: from, feature })),
    schema,
    features,
  };
};

const versionOf = (name: string, { views, joinedViews, onDemandViews }: Views): string =>
  (views.get(name) ?? joinedViews.get(name) ?? onDemandViews.get(name))?.version ?? "";

const compileInputs = (
  view: OnDemandView,
  repository: Views,
  declared: ReadonlyMap<string, OnDemandView>,
  place: string,
  problems: Problems,
): { readonly view: string; readonly feature: string; readonly type: ValueType }[] =>
  view.inputs.flatMap((input, at) => {
    const [from = "", feature = "", ...more] = input.split(".");
    const source = storedViewOf(repository, from) ?? repository.onDemandViews.get(from);
    const type = source === undefined || more.length > 0 ? undefined : featureTypes(source).get(feature);
    if (type !== undefined) return [{ view: from, feature, type }];
    // An on-demand view or feature that is declared and did not compile has its problem at its own place.
    const isToldThere = more.length === 0 && declared.get(from)?.features.some(({ name }) => name === feature) === true;
    if (!isToldThere) {
      problems.add(`${place}[${at}]`, "`view.feature` of another view", `${JSON.stringify(input)}, which no view has`);
    }
    return [];
  });
