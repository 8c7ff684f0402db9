import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";

/** Calls that are begun at a fixed rate, whether earlier ones have ended or not: as callers that know nothing of each other. */
export interface OpenLoad {
  readonly address: string;
  /** `/package.Service/Method` */
  readonly path: string;
  readonly request: Buffer;
  readonly perSecond: number;
  readonly seconds: number;
  /** The deadline of each call, counted from when it was due. */
  readonly deadlineMs: number;
}

export interface OpenLoadResult {
  readonly offered: number;
  /** Calls that were answered before their deadline. */
  readonly answered: number;
  /** Other calls, by the name of their status; `late` where the answer came behind its deadline. */
  readonly refused: ReadonlyMap<string, number>;
  /** Of the answered calls, from when each was due: a generator that lags does not hide a server that does. Ascending. */
  readonly latenciesMs: readonly number[];
}

const identity = (bytes: Buffer): Buffer => bytes;

/** Offers a load over one connection, and waits for the last of its answers. */
export const openLoad = async (load: OpenLoad): Promise<OpenLoadResult> => {
  const client = new Client(load.address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": 256 * 1024 * 1024,
    "grpc.enable_channelz": 0,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + 5000, (error) => (error === undefined ? resolve() : reject(error)));
    });
    return await offer(client, load);
  } finally {
    client.close();
  }
};

const offer = async (client: Client, { path, request, perSecond, seconds, deadlineMs }: OpenLoad) => {
  const latenciesMs: number[] = [];
  const refused = new Map<string, number>();
  const ended: Promise<void>[] = [];
  const total = Math.round(perSecond * seconds);
  const startedMs = performance.now();
  const epochMs = Date.now() - startedMs;
  const call = (dueMs: number): Promise<void> =>
    new Promise((resolve) => {
      client.makeUnaryRequest(
        path,
        identity,
        identity,
        request,
        { deadline: epochMs + dueMs + deadlineMs },
        (error) => {
          const tookMs = performance.now() - dueMs;
          if (error === null && tookMs <= deadlineMs) latenciesMs.push(tookMs);
          else {
            const name = error === null ? "late" : nameOf(error);
            refused.set(name, (refused.get(name) ?? 0) + 1);
          }
          resolve();
        },
      );
    });
  for (let begun = 0; begun < total; ) {
    const dueMs = startedMs + (begun * 1000) / perSecond;
    if (performance.now() >= dueMs) {
      ended.push(call(dueMs));
      begun++;
    } else await sleep(Math.max(0, dueMs - performance.now()));
  }
  await Promise.all(ended);
  latenciesMs.sort((a, b) => a - b);
  return { offered: total, answered: latenciesMs.length, refused, latenciesMs };
};

/** A status by its name; one that no server should give also by what it says. */
const nameOf = ({ code, details }: ServiceError): string => {
  const name = status[code] ?? String(code);
  return name === "INTERNAL" || name === "UNKNOWN" ? `${name} (${details})` : name;
};

/** The value below which this share of ascending values lies. NaN of none. */
export const quantile = (ascending: readonly number[], share: number): number =>
  ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? Number.NaN;
