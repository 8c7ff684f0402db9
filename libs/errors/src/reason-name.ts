import { Reason } from "@millrace/contracts/millrace/error/v1/reason";

const names = new Map<number, string>(Object.entries(Reason).map(([name, number]) => [number, name]));

/** The stable word of a reason as it travels in `google.rpc.ErrorInfo.reason`: `FEATURE_UNKNOWN`, never a number. */
export const reasonName = (reason: Reason): string => names.get(reason) ?? "UNSPECIFIED";
