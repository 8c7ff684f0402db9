import { MillraceError, Reason } from "@millrace/errors";

/**
 * Thrown by `Consumer.commit` when another member of the group has the partition now. Its owner begins at the commit
 * before, so nothing is lost. A handler may let it pass: the consumer gives the partition up and goes on with the rest.
 */
export class PartitionLostError extends MillraceError {
  constructor(topic: string, partition: number | undefined, group: string, cause?: unknown) {
    const where = partition === undefined ? topic : `${topic}/${partition}`;
    super("ABORTED", Reason.CONFLICT, `${where} went to another member of the group ${group}.`, {
      metadata: { topic, group },
      cause,
    });
  }
}
