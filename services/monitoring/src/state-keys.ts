/*
 * Keys of the service's state. All that one transaction writes carries one hash tag, so that it lies on one node:
 *
 *   {monitoring:3}state                                    ShardState of partition 3
 *   {monitoring:3}w <model> <digest> <slice> <from> <to>   WindowCounts
 *   {monitoring:3}windows                                  WindowIndex: which of them there are
 *   {monitoring:3}j <id>                                   JoinEntry
 *   {monitoring:alerts}monitors                            AppliedMonitors
 *   {monitoring:alerts}s <model> <digest>                  JudgedSeries
 *
 * Parts are separated by a zero byte; times are 16 hexadecimal digits, so that all have one length.
 */

const encoder = new TextEncoder();
const SEPARATOR = "\0";

/** The longest id that a prediction may have, in bytes of UTF-8. */
export const MAX_ID_BYTES = 512;

const key = (...parts: readonly string[]): Uint8Array => encoder.encode(parts.join(SEPARATOR));

const sortable = (timeUs: bigint): string => (timeUs + 2n ** 63n).toString(16).padStart(16, "0");

export interface WindowName {
  readonly model: string;
  readonly packageDigest: string;
  /** `column=value`; empty for all rows. */
  readonly slice: string;
  readonly fromUs: bigint;
  readonly toUs: bigint;
}

export const shardKey = (partition: number): Uint8Array => encoder.encode(`{monitoring:${partition}}state`);

export const windowKey = (partition: number, { model, packageDigest, slice, fromUs, toUs }: WindowName): Uint8Array =>
  key(`{monitoring:${partition}}w`, model, packageDigest, slice, sortable(fromUs), sortable(toUs));

export const windowIndexKey = (partition: number): Uint8Array => encoder.encode(`{monitoring:${partition}}windows`);

export const joinKey = (partition: number, id: string): Uint8Array => key(`{monitoring:${partition}}j`, id);

export const monitorsKey = (): Uint8Array => encoder.encode("{monitoring:alerts}monitors");

export const seriesKey = (model: string, packageDigest: string): Uint8Array =>
  key("{monitoring:alerts}s", model, packageDigest);
