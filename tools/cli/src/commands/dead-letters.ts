import { FeatureService, ListDeadLettersResponseSchema } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { Command } from "commander";
import { type ConnectionOptions, serviceCommand, withClient } from "../connection.ts";
import { printMessage, printTable, timeText } from "../output.ts";
import { UsageError } from "../usage-error.ts";

interface DeadLetterOptions extends ConnectionOptions {
  readonly reason?: string;
  readonly limit: string;
  readonly json: boolean;
}

/** Lists the records of a source that could not be used, the newest first, with the reason of each. */
export const deadLettersCommand = (): Command =>
  serviceCommand("feature-serving", "dead-letters <source>", "lists a source's records that could not be used")
    .option("--reason <reason>", "only MALFORMED, TOO_LATE, FROM_THE_FUTURE, KEY_NULL or OVERFLOW")
    .option("--limit <number>", "how many at most, up to 10000", "20")
    .option("--json", "print protobuf JSON", false)
    .action(deadLetters);

const deadLetters = async (
  source: string,
  { reason = "", limit, json, ...options }: DeadLetterOptions,
): Promise<void> => {
  if (!/^[1-9]\d{0,4}$/.test(limit)) throw new UsageError(`--limit: expected a number from 1 on, got ${limit}.`);
  await withClient(FeatureService, options, async (client) => {
    const answer = await client.listDeadLetters({ source, reason, limit: Number(limit) });
    if (json) {
      printMessage(ListDeadLettersResponseSchema, answer);
      return;
    }
    printTable([
      ["refused at", "partition", "offset", "reason", "detail"],
      ...answer.letters.map(({ at, sourcePartition, sourceOffset, reason: why, detail }) => [
        timeText(at),
        String(sourcePartition),
        String(sourceOffset),
        why,
        detail,
      ]),
    ]);
    const counts = Object.entries(answer.counts).map(([name, count]) => `${count} ${name}`);
    console.log(counts.length === 0 ? "no dead letters" : `in all: ${counts.join(", ")}`);
  });
};
