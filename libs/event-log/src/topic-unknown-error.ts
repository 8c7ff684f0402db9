import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when a topic is used that was never made, or was deleted. */
export class TopicUnknownError extends MillraceError {
  constructor(topic: string) {
    super("NOT_FOUND", Reason.TOPIC_UNKNOWN, `The topic ${topic} does not exist.`, {
      resource: { kind: "topic", name: topic },
    });
  }
}
