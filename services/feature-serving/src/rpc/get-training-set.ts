import { toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type FeatureService,
  GetRepositoryResponseSchema,
  GetTrainingSetRequestSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { outputPath, unfinishedFile } from "@millrace/feature-definition/duckdb";
import type { ServerStreaming } from "@millrace/grpc";
import type { FeatureServing } from "../feature-serving.ts";
import { NotBuiltError } from "../not-built-error.ts";
import { selectVersion } from "../select-service.ts";
import { trainingSetInThread } from "../training-set/training-set-thread.ts";

/** The largest part of an Arrow stream that travels in one message. */
const maxPartBytes = 1024 * 1024;

/** Builds a point-in-time training set, and streams it as Arrow IPC or writes it to a Parquet file. */
export const getTrainingSet = ({
  catalogue,
  batchData,
  versionReads,
  tombstones,
}: FeatureServing): ServerStreaming<typeof FeatureService.method.getTrainingSet> =>
  async function* (request, call) {
    const { selection, featureServiceVersion, parquetPath, asOfToken } = request;
    if (asOfToken !== "") throw new NotBuiltError("as_of_token", "none, since tokens are not read yet", asOfToken);
    await tombstones.refresh();
    const { applied, repository, service } = selectVersion(catalogue.definitions(), selection, featureServiceVersion);
    // A model is about to be trained on it: the version is kept until its package names it.
    if (selection.case === "featureService") versionReads.note(selection.value, service.version);
    const file = parquetPath === "" ? undefined : await unfinishedFile(outputPath(parquetPath, batchData.dataRoot));
    const data = {
      applied: toBinary(GetRepositoryResponseSchema, applied),
      request: toBinary(GetTrainingSetRequestSchema, request),
      batchData,
      tombstones: tombstones.data(),
      ...(file === undefined ? {} : { outParquet: file.path }),
    };
    try {
      for await (const part of trainingSetInThread(data, call.signal)) {
        if (part.kind === "arrow") {
          for (let at = 0; at < part.bytes.length; at += maxPartBytes) {
            yield { part: { case: "arrow", value: part.bytes.subarray(at, at + maxPartBytes) } };
          }
        } else if (part.kind === "progress") {
          const { phase, rows, totalRows } = part;
          yield { part: { case: "progress", value: { phase, rows: BigInt(rows), totalRows: BigInt(totalRows) } } };
        } else {
          await file?.finish();
          call.setTrailer("rows", String(part.rows));
          yield {
            part: {
              case: "summary",
              value: {
                rows: BigInt(part.rows),
                snapshotId: part.snapshotId,
                featureServiceVersion: service.version,
                schemaHash: service.schemaHash,
                definitionsHash: repository.definitionsHash,
                revision: applied.revision,
                ...(part.newestEventUs === undefined
                  ? {}
                  : { newestEvent: timestampFromMs(Number(part.newestEventUs) / 1000) }),
              },
            },
          };
        }
      }
    } finally {
      await file?.discard();
    }
  };
