import { fromBinary } from "@bufbuild/protobuf";
import {
  GetRepositoryResponseSchema,
  GetTrainingSetRequestSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { compileRepository } from "@millrace/feature-definition";
import { type TrainingSetPart, trainingSet } from "@millrace/feature-definition/duckdb";
import { NothingAppliedError } from "../catalogue.ts";
import { Tombstones } from "../erasure/tombstones.ts";
import { selectService } from "../select-service.ts";
import { serveThread } from "../thread-stream.ts";
import type { TrainingSetThreadData } from "./training-set-thread.ts";

// The thread of one training set.

await serveThread<TrainingSetThreadData, TrainingSetPart>(async function* (data, signal) {
  const { repository: definitions } = fromBinary(GetRepositoryResponseSchema, data.applied);
  if (definitions === undefined) throw new NothingAppliedError();
  const repository = compileRepository(definitions);
  const request = fromBinary(GetTrainingSetRequestSchema, data.request);
  const rows = request.entityRows?.rows;
  if (rows?.case === undefined) throw new TypeError("The contract requires entity rows.");
  yield* trainingSet({
    repository,
    service: selectService(repository, request.selection),
    entityRows: rows.case === "arrow" ? { arrow: rows.value } : { query: rows.value },
    asOf: request.asOf,
    deterministic: request.deterministic,
    ...data.batchData,
    signal,
    erased: Tombstones.of(data.tombstones),
    ...(data.outParquet === undefined ? {} : { outParquet: data.outParquet }),
    ...(request.entityRows?.eventTime ? { eventTime: request.entityRows.eventTime } : {}),
  });
});
