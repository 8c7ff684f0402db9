export { aggregateFunctionName } from "./compile-aggregate.ts";
export { compileRepository } from "./compile-repository.ts";
export { compileReferences } from "./compile-service.ts";
export type {
  AggregateView,
  CompiledAggregate,
  CompiledEntity,
  CompiledExpression,
  CompiledFeature,
  CompiledFeatureService,
  CompiledField,
  CompiledJoinedView,
  CompiledOnDemandView,
  CompiledRepository,
  CompiledSource,
  CompiledView,
  JoinKey,
  LatestRowView,
  OnDemandFeature,
  Row,
  Scalar,
  ServiceFeature,
} from "./compiled.ts";
export { DefinitionInvalidError } from "./definition-invalid-error.ts";
export { formatDurationUs, parseDurationUs } from "./duration.ts";
export { compileExpression } from "./expression/compile-expression.ts";
export { ExpressionEvaluationError, ExpressionInvalidError } from "./expression/expression-error.ts";
export { valueTypeName } from "./expression/expression-type.ts";
export { FeatureServiceUnknownError } from "./feature-service-unknown-error.ts";
export { FeatureUnknownError } from "./feature-unknown-error.ts";
export { elementType } from "./list-type.ts";
export { loadRepository } from "./load-repository.ts";
export { ownValue } from "./own-value.ts";
export { type FeatureRead, readsOf } from "./reads-of.ts";
export { storedViewOf } from "./view-features.ts";
