/** How far one partition is applied: what the stream worker tells its process at once, before it is in the store. */
export interface AppliedPartition {
  readonly topic: string;
  readonly epoch: string;
  readonly partition: number;
  /** Next offset to be applied, by `view@version`. */
  readonly positions: Readonly<Record<string, number>>;
}
