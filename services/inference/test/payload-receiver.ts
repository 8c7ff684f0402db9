import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** One event as it came over HTTP. */
export interface ReceivedEvent {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface PayloadReceiver {
  readonly url: string;
  /** Events that it took, in their order. */
  readonly events: ReceivedEvent[];
  /** Requests that came, taken or not. */
  tries(): number;
  /** The status of the next answers; 202 takes an event. */
  answerWith(status: (attempt: number) => number): void;
  /** Holds all answers until the answered function is called. */
  hold(): () => void;
  close(): Promise<void>;
}

/** Collects CloudEvents, as an event broker would. */
export const startPayloadReceiver = async (port = 0): Promise<PayloadReceiver> => {
  const events: ReceivedEvent[] = [];
  let tries = 0;
  let statusOf = (_: number) => 202;
  let held: Promise<void> = Promise.resolve();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", async () => {
      await held;
      const status = statusOf(++tries);
      if (status < 300) {
        events.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks) });
      }
      response.writeHead(status).end();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events?from=test`,
    events,
    tries: () => tries,
    answerWith: (status) => {
      statusOf = status;
    },
    hold: () => {
      let release = () => {};
      held = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
};
