import { enveloped, PreparedConnection } from "./prepared-connection.ts";

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

/** Keeps so many unary calls under way, each begun when another ends, over one connection. */
export const unaryLoad = async (load: Load): Promise<LoadResult> => {
  const connection = await PreparedConnection.open(load.address);
  try {
    const method = connection.method(load.path);
    const envelope = enveloped(load.request);
    const call = (): Promise<boolean> =>
      new Promise((resolve) => connection.unary(method, envelope, { onEnd: resolve }));
    await closedLoop(call, load.inFlight, load.warmUpSeconds);
    return await closedLoop(call, load.inFlight, load.seconds);
  } finally {
    connection.close();
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
  const connection = await PreparedConnection.open(load.address);
  const envelope = enveloped(load.request);
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
        stream.send(envelope);
      };
      const stream = connection.stream(connection.method(load.path), {
        onMessage: (answer) => {
          const now = performance.now();
          if (load.isFailure?.(answer) === true) failures++;
          const at = begun[answered++] ?? now;
          if (at >= measureFrom) latenciesMs.push(now - at);
          if (now < endMs) send();
          else if (answered === begun.length) stream.end();
        },
        onEnd: (ok) => (ok ? resolve() : reject(new Error(`The stream of ${load.path} failed.`))),
      });
      for (let index = 0; index < load.inFlight; index++) send();
    });
  } finally {
    connection.close();
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
