import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { ServerStreaming } from "@millrace/grpc";
import { FeatureViewUnknownError } from "../catalogue.ts";
import { ViewOfflineError } from "../feature-plan.ts";
import type { FeatureServing } from "../feature-serving.ts";
import { materializeInThread } from "../materialize/materialize-thread.ts";

/** Loads the history of a view from its batch source into the online store, and tells how far it is. */
export const materialize = ({
  catalogue,
  stores,
  batchData,
  topicPartitions,
}: FeatureServing): ServerStreaming<typeof FeatureService.method.materialize> =>
  async function* (request, call) {
    const { views } = catalogue.definitions().repository;
    const view = views.get(request.view);
    if (view === undefined) throw new FeatureViewUnknownError(request.view, [...views.keys()]);
    if (!view.online) throw new ViewOfflineError(view.name);
    const fromUs = microsecondsOf(request.from);
    const toUs = microsecondsOf(request.to);
    const data = { ...stores, batchData, topicPartitions, view: view.name, fromUs, toUs };
    for await (const { rows, totalRows, keys, done } of materializeInThread(data, call.signal)) {
      yield { rows: BigInt(rows), totalRows: BigInt(totalRows), keys: BigInt(keys), done };
    }
  };

function microsecondsOf(timestamp: Timestamp | undefined): number | undefined {
  return timestamp === undefined
    ? undefined
    : Number(timestamp.seconds) * 1_000_000 + Math.floor(timestamp.nanos / 1000);
}
