/** What a deployment says of its payload log, with the defaults filled in. */
export interface PayloadPolicy {
  /** Where events are posted to: http or https. */
  readonly url: string;
  readonly mode: "ALL" | "REQUEST" | "RESPONSE";
  /** Share of calls, 0 to 1. */
  readonly sampling: number;
  readonly inferenceServiceName: string;
  /** Empty: events have no such attribute. */
  readonly namespace: string;
  readonly component: string;
  readonly endpoint: string;
}
