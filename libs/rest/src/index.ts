export { BodyInvalidError } from "./body-invalid-error.ts";
export { InFlightBytes, TooManyBytesInFlightError } from "./in-flight-bytes.ts";
export {
  describe,
  isObject,
  type JsonObject,
  type JsonValue,
  notFinite,
  parseJson,
  parseObject,
} from "./parse-json.ts";
export type { RestAnswer } from "./rest-answer.ts";
export { RestCall } from "./rest-call.ts";
export { BodyTooLargeError, PathUnknownError } from "./rest-error.ts";
export type { RestRequest, RestRoute } from "./rest-route.ts";
export { type AnsweredRequest, type RestObserver, RestServer, type RestServerOptions } from "./rest-server.ts";
export { RawJson, type WritableJson, writeJson } from "./write-json.ts";
