import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DeadLetterRecordSchema, FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Unary } from "@millrace/grpc";
import { type PlacedLetter, readDeadLetters, requireDeadLetterReason } from "../dead-letters/read-dead-letters.ts";
import type { FeatureServing } from "../feature-serving.ts";

const defaultLimit = 100;
const mostBytes = 3 * 1024 * 1024;

/** Lists the records of a source that could not be used, newest first, and counts all that the topic holds. */
export const listDeadLetters =
  ({ catalogue, log }: FeatureServing): Unary<typeof FeatureService.method.listDeadLetters> =>
  async ({ source: name, reason, limit }, call) => {
    requireDeadLetterReason(reason);
    const source = catalogue.source(name);
    const counts: Record<string, bigint> = {};
    const newest: PlacedLetter[] = [];
    let bytes = 0;
    for await (const placed of readDeadLetters(log, source, call.signal)) {
      const { letter } = placed;
      counts[letter.reason] = (counts[letter.reason] ?? 0n) + 1n;
      if (reason !== "" && letter.reason !== reason) continue;
      newest.push(placed);
      bytes += sizeOf(placed);
      while (newest.length > (limit || defaultLimit) || (bytes > mostBytes && newest.length > 1)) {
        const oldest = newest.shift();
        if (oldest !== undefined) bytes -= sizeOf(oldest);
      }
    }
    return { letters: newest.reverse().map(recordOf), counts };
  };

function sizeOf({ letter }: PlacedLetter): number {
  return letter.key.length + letter.value.length + letter.detail.length * 3 + 100;
}

function recordOf({ partition, offset, letter }: PlacedLetter): MessageInitShape<typeof DeadLetterRecordSchema> {
  return {
    partition,
    offset,
    sourcePartition: letter.partition,
    sourceOffset: letter.offset,
    reason: letter.reason,
    detail: letter.detail,
    key: letter.key,
    value: letter.value,
    ...(letter.rejectedAt === undefined ? {} : { at: letter.rejectedAt }),
  };
}
