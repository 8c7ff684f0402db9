import type { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import type { Unary } from "@millrace/grpc";
import type { CountedTime } from "../execution/model-statistics.ts";
import type { ModelRoster } from "../serving/model-roster.ts";
import type { Servable } from "../serving/servable.ts";

/** What a model has done since it was loaded; all models where none is named. */
export const modelStatistics =
  (roster: ModelRoster): Unary<typeof GRPCInferenceService.method.modelStatistics> =>
  async ({ name, version }) => ({
    modelStats: statisticsTargets(roster, name, version).map(statisticsOf),
  });

/** Every version that is ready, of all models or of one. @throws ModelUnknownError, ModelNotReadyError */
const statisticsTargets = (roster: ModelRoster, name: string, version: string): readonly Servable[] => {
  if (name === "") return roster.served();
  return version === "" && roster.versions(name).length > 0 ? roster.versions(name) : [roster.find(name, version)];
};

const statisticsOf = ({ name, version, statistics, memoryBytes }: Servable) => ({
  name,
  version,
  lastInference: BigInt(statistics.lastInferenceMs),
  inferenceCount: BigInt(statistics.inferences),
  executionCount: BigInt(statistics.executions),
  inferenceStats: {
    success: duration(statistics.success),
    fail: duration(statistics.fail),
    queue: duration(statistics.queue),
    computeInput: duration(statistics.input),
    computeInfer: duration(statistics.infer),
    computeOutput: duration(statistics.output),
    cacheHit: duration(statistics.cacheHit),
    cacheMiss: duration(statistics.cacheMiss),
  },
  batchStats: [...statistics.batches]
    .sort(([a], [b]) => a - b)
    .map(([rows, { input, infer, output }]) => ({
      batchSize: BigInt(rows),
      computeInput: duration(input),
      computeInfer: duration(infer),
      computeOutput: duration(output),
    })),
  memoryUsage: [{ type: "CPU", id: 0n, byteSize: BigInt(memoryBytes) }],
});

const duration = ({ count, ns }: CountedTime) => ({ count: BigInt(count), ns: BigInt(Math.round(ns)) });
