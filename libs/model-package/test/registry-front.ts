import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface FrontCall {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer<ArrayBuffer>;
}

/** A server before a registry: it answers some calls by itself and passes the others on. */
export interface RegistryFront {
  readonly host: string;
  readonly calls: readonly FrontCall[];
  close(): Promise<void>;
}

/** @param answer gives an answer to a call, or none, and then the registry answers; `forward` asks the registry. */
export const startRegistryFront = async (
  registryHost: string,
  answer: (call: FrontCall, forward: (call: FrontCall) => Promise<Response>) => Promise<Response | undefined>,
): Promise<RegistryFront> => {
  const calls: FrontCall[] = [];
  const forward = ({ method, url, headers, body }: FrontCall): Promise<Response> => {
    const { host: _, connection: __, "content-length": ___, ...passed } = headers;
    const carries = method !== "GET" && method !== "HEAD";
    const call = { method, headers: passed, redirect: "manual", ...(carries ? { body } : {}) } as const;
    return fetch(`http://${registryHost}${url}`, call);
  };
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) {
      chunks.push(chunk);
    }
    const call: FrontCall = {
      method: incoming.method ?? "GET",
      url: incoming.url ?? "/",
      headers: incoming.headers as Record<string, string>,
      body: Buffer.concat(chunks),
    };
    calls.push(call);
    const given = (await answer(call, forward)) ?? (await forward(call));
    const headers = Object.fromEntries(given.headers);
    // An upload goes on where the registry says: behind this door again.
    if (headers.location?.startsWith(`http://${registryHost}/`)) {
      headers.location = headers.location.slice(`http://${registryHost}`.length);
    }
    delete headers["transfer-encoding"];
    outgoing.writeHead(given.status, headers).end(Buffer.from(await given.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
