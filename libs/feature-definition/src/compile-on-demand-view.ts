import { ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import type { OnDemandView } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { compileFields } from "./compile-source.ts";
import { refuseRepeatedNames } from "./compile-view.ts";
import type { CompiledField, CompiledOnDemandView, CompiledRepository } from "./compiled.ts";
import { placeOf } from "./definition-origin.ts";
import { shortDigest } from "./digest.ts";
import { compileExpression, expressionMeaning } from "./expression/compile-expression.ts";
import type { Problems } from "./problems.ts";
import { featureTypes, fullNameOf, storedViewOf } from "./view-features.ts";

/** Compiles on-demand views. Their inputs are features of stored and joined views, so that no cycle can be written. */
export const compileOnDemandViews = (
  views: readonly OnDemandView[],
  stored: Pick<CompiledRepository, "views" | "joinedViews">,
  problems: Problems,
): Map<string, CompiledOnDemandView> => {
  const onDemandNames = new Set(views.map(({ name }) => name));
  const compiled = new Map<string, CompiledOnDemandView>();
  views.forEach((view, index) => {
    const place = placeOf(view, `onDemandViews[${index}]`);
    const request = compileFields(view.request, `${place}.request`, problems);
    const inputs: { view: string; feature: string; type: ValueType }[] = [];
    view.inputs.forEach((input, at) => {
      const [viewName = "", feature = "", ...more] = input.split(".");
      const source = storedViewOf(stored, viewName);
      const type = source === undefined || more.length > 0 ? undefined : featureTypes(source).get(feature);
      if (type !== undefined) {
        inputs.push({ view: viewName, feature, type });
        return;
      }
      const got = onDemandNames.has(viewName)
        ? `${input}, which is itself computed on demand (that could make a cycle)`
        : `${JSON.stringify(input)}, which no view has`;
      problems.add(`${place}.inputs[${at}]`, "`view.feature` of a feature view or a joined view", got);
    });
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
      const declared = feature.type === ValueType.VALUE_TYPE_UNSPECIFIED ? undefined : feature.type;
      const expression = problems.expression(`${place}.features[${at}].expression`, () =>
        compileExpression(feature.expression === "" ? feature.name : feature.expression, schema, declared),
      );
      return expression === undefined ? [] : [{ name: feature.name, type: expression.type, expression }];
    });
    compiled.set(view.name, {
      name: view.name,
      version: shortDigest({
        schema: schema.map(({ name, type }) => [name, type]),
        inputs: inputs.map((input) => [
          input.view,
          (stored.views.get(input.view) ?? stored.joinedViews.get(input.view))?.version ?? "",
          input.feature,
        ]),
        features: features.map(({ name, type, expression }) => [name, type, expressionMeaning(expression)]),
      }),
      request,
      inputs: inputs.map(({ view: from, feature }) => ({ view: from, feature })),
      schema,
      features,
    });
  });
  return compiled;
};
