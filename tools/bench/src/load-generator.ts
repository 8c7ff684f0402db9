import { Client, credentials, type MethodDefinition } from "@grpc/grpc-js";

/** What a load of calls with one fixed request gave. */
export interface LoadResult {
  readonly calls: number;
  readonly failures: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Load {
  readonly address: string;
  /** `/package.Service/Method` */
  readonly path: string;
  /** The encoded request: it is sent as it is, so that the generator costs as little as it can. */
  readonly request: Buffer;
  readonly inFlight: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Whether an answer on a stream says that its request failed. */
  readonly isFailure?: (answer: Buffer) => boolean;
}

const identity = (bytes: Buffer): Buffer => bytes;

const open = (address: string): Client =>
  new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": 256 * 1024 * 1024,
    "grpc.enable_channelz": 0,
  });

/** Keeps so many unary calls under way, each begun when another ends, over one connection. */
export const unaryLoad = async (load: Load): Promise<LoadResult> => {
  const client = open(load.address);
  try {
    const call = (): Promise<boolean> =>
      new Promise((resolve) => {
        client.makeUnaryRequest(load.path, identity, identity, load.request, (error) => resolve(error === null));
      });
    await closedLoop(call, load.inFlight, load.warmUpSeconds);
    return await closedLoop(call, load.inFlight, load.seconds);
  } finally {
    client.close();
  }
};

const closedLoop = async (call: () => Promise<boolean>, inFlight: number, seconds: number): Promise<LoadResult> => {
  const latenciesMs: number[] = [];
  let failures = 0;
  const started = performance.now();
  const endMs = started + seconds * 1000;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (;;) {
        const begun = performance.now();
        if (begun >= endMs) return;
        if (!(await call())) failures++;
        latenciesMs.push(performance.now() - begun);
      }
    }),
  );
  return resultOf(latenciesMs, failures, (performance.now() - started) / 1000);
};

/** Keeps so many messages under way on one bidirectional stream whose answers come in order. */
export const streamLoad = async (load: Load): Promise<LoadResult> => {
  const client = open(load.address);
  const definition: MethodDefinition<Buffer, Buffer> = {
    path: load.path,
    requestStream: true,
    responseStream: true,
    requestSerialize: identity,
    responseSerialize: identity,
    requestDeserialize: identity,
    responseDeserialize: identity,
  };
  const stream = client.makeBidiStreamRequest(definition.path, identity, identity);
  const latenciesMs: number[] = [];
  const begun: number[] = [];
  let answered = 0;
  let failures = 0;
  const started = performance.now();
  const measureFrom = started + load.warmUpSeconds * 1000;
  const endMs = measureFrom + load.seconds * 1000;
  try {
    await new Promise<void>((resolve, reject) => {
      const send = (): void => {
        begun.push(performance.now());
        stream.write(load.request);
      };
      stream.on("data", (answer: Buffer) => {
        const now = performance.now();
        if (load.isFailure?.(answer) === true) failures++;
        const at = begun[answered++] ?? now;
        if (at >= measureFrom) latenciesMs.push(now - at);
        if (now < endMs) send();
        else if (answered === begun.length) stream.end();
      });
      stream.once("end", resolve);
      stream.once("error", reject);
      for (let index = 0; index < load.inFlight; index++) send();
    });
  } finally {
    client.close();
  }
  return resultOf(latenciesMs, failures, load.seconds);
};

const resultOf = (latenciesMs: number[], failures: number, seconds: number): LoadResult => {
  latenciesMs.sort((a, b) => a - b);
  const quantile = (share: number): number =>
    latenciesMs[Math.min(latenciesMs.length - 1, Math.floor(share * latenciesMs.length))] ?? Number.NaN;
  return {
    calls: latenciesMs.length,
    failures,
    seconds,
    perSecond: latenciesMs.length / seconds,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
};
