export { Reason } from "@millrace/contracts/millrace/error/v1/reason";
export {
  type FieldViolation,
  MillraceError,
  type MillraceErrorCode,
  type MillraceErrorDetails,
} from "./millrace-error.ts";
export { reasonName } from "./reason-name.ts";
