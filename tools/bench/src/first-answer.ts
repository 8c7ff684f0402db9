import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials } from "@grpc/grpc-js";
import { modelInferPath } from "./infer-request.ts";
import type { ServerProcess } from "./server-process.ts";

const identity = (bytes: Buffer): Buffer => bytes;

/**
 * Asks a server that has just been started until it has answered each request, every few milliseconds.
 * @throws where it ends before, or has not answered after a minute.
 */
export const firstAnswer = async (
  server: ServerProcess,
  address: string,
  requests: readonly Buffer[],
): Promise<readonly Buffer[]> => {
  const untilMs = performance.now() + 60_000;
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 10,
    "grpc.min_reconnect_backoff_ms": 10,
    "grpc.max_reconnect_backoff_ms": 10,
  });
  const ask = (request: Buffer): Promise<Buffer | Error> =>
    new Promise((resolve) => {
      const deadline = Date.now() + 5000;
      client.makeUnaryRequest(modelInferPath, identity, identity, request, { deadline }, (error, answer) =>
        resolve(error ?? answer ?? Buffer.alloc(0)),
      );
    });
  try {
    const answers: Buffer[] = [];
    for (const request of requests) {
      for (;;) {
        const answer = await ask(request);
        if (!(answer instanceof Error)) {
          answers.push(answer);
          break;
        }
        if (server.ended !== undefined) throw new Error(`The server ended with ${server.ended} before it answered.`);
        if (performance.now() > untilMs) throw new Error(`The server did not answer in a minute: ${answer.message}`);
        await sleep(5);
      }
    }
    return answers;
  } finally {
    client.close();
  }
};
