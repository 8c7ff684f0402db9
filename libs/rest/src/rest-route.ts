import type { RestAnswer } from "./rest-answer.ts";
import type { RestCall } from "./rest-call.ts";

/** What a route is given: the parts of the path that it names, and the body once it is asked for. */
export interface RestRequest {
  readonly call: RestCall;
  /** The part of the path at `:name`, decoded; empty where an optional one is absent. */
  part(name: string): string;
  /** @throws BodyTooLargeError, BodyInvalidError, TooManyBytesInFlightError, CallCancelledError */
  body(): Promise<Uint8Array>;
}

export interface RestRoute {
  readonly method: "GET" | "POST";
  /** `v2/models/:model[/versions/:version]/infer`: a part at a colon is any text, and brackets are optional. */
  readonly path: string;
  /** Whether it is answered without a token: a probe has none to send, and learns nothing but up or down. */
  readonly open?: boolean;
  readonly answer: (request: RestRequest) => Promise<RestAnswer>;
}
