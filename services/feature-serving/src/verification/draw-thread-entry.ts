import { fromBinary } from "@bufbuild/protobuf";
import { GetRepositoryResponseSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { compileReferences, compileRepository } from "@millrace/feature-definition";
import { drawEntities } from "@millrace/feature-definition/duckdb";
import { NothingAppliedError } from "../catalogue.ts";
import { serveThread } from "../thread-stream.ts";
import type { DrawThreadData } from "./draw-thread.ts";

// The thread that draws the entities of one verification.

await serveThread<DrawThreadData, Uint8Array>(async function* ({ applied, references, batchData, ...options }) {
  const { repository: definitions } = fromBinary(GetRepositoryResponseSchema, applied);
  if (definitions === undefined) throw new NothingAppliedError();
  const repository = compileRepository(definitions);
  yield await drawEntities({
    ...options,
    ...batchData,
    repository,
    service: compileReferences(references, repository),
  });
});
