/** Thrown when a partition brings offsets that were had before, although nobody went back: the topic was made anew. */
export class OffsetWentBackError extends Error {
  constructor(topic: string, partition: number, expected: number, found: number) {
    super(`Partition ${partition} of ${topic} brought offset ${found} after ${expected - 1}: the topic was made anew.`);
    this.name = "OffsetWentBackError";
  }
}
