import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { CannotListenError } from "@millrace/grpc";
import type { Registry } from "prom-client";

/** The HTTP port for Prometheus and for probes. */
export interface MetricsEndpoint {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `/metrics`; `/healthz`, 200 while the event loop turns; and `/readyz`, 200 or 503 with one line for each reason
 * why the service is not ready.
 * @throws CannotListenError where the port is taken.
 */
export const openMetricsEndpoint = async (
  host: string,
  port: number,
  registry: Registry,
  unreadyReasons: () => readonly string[],
): Promise<MetricsEndpoint> => {
  const server = createServer((request, response) => {
    const send = (status: number, type: string, body: string) => {
      response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    const plain = "text/plain; charset=utf-8";
    if (request.method !== "GET" && request.method !== "HEAD") {
      send(405, plain, "Only GET is answered here.\n");
      return;
    }
    switch (request.url?.split("?")[0]) {
      case "/metrics":
        registry.metrics().then(
          (text) => send(200, registry.contentType, text),
          (error: unknown) => send(500, plain, `The metrics cannot be read: ${String(error)}\n`),
        );
        return;
      case "/healthz":
        send(200, plain, "ok\n");
        return;
      case "/readyz": {
        const reasons = unreadyReasons();
        send(reasons.length === 0 ? 200 : 503, plain, reasons.length === 0 ? "ready\n" : `${reasons.join("\n")}\n`);
        return;
      }
      default:
        send(404, plain, "Here are /metrics, /healthz and /readyz.\n");
    }
  });
  server.requestTimeout = 10_000;
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "another process listens on this port" : error.message;
      reject(new CannotListenError(`Cannot listen on ${host}:${port} for metrics: ${why}.`, error));
    });
    server.listen(port, host, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
