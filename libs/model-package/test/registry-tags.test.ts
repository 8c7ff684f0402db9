import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { expectReason } from "../src/model-store.contract.ts";
import { openModelStore } from "../src/open-model-store.ts";

const servers: Server[] = [];

const startServer = async (answer: (url: string, outgoing: ServerResponse) => void): Promise<string> => {
  const server = createServer((incoming, outgoing) => answer(incoming.url ?? "/", outgoing));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const tagsOf = async (host: string): Promise<string[]> => {
  const store = await openModelStore(`oci://${host}`);
  try {
    return await store.tags("flight_delay");
  } finally {
    await store.close();
  }
};

const refuse = (host: string) => expectReason(tagsOf(host), "REGISTRY_UNAVAILABLE", "FAILED_PRECONDITION");

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

describe("a registry's list of tags", () => {
  test("goes on where its Link says, at the registry itself", async () => {
    const host = await startServer((url, outgoing) => {
      const first = !url.includes("last=");
      const link = { link: '</v2/flight_delay/tags/list?last=v1>; rel="next"' };
      outgoing.writeHead(200, first ? link : {}).end(JSON.stringify({ tags: [first ? "v1" : "v2"] }));
    });
    expect(await tagsOf(host)).toEqual(["v1", "v2"]);
  });

  test("does not go on at another host", async () => {
    let calls = 0;
    const foreign = await startServer((_, outgoing) => {
      calls += 1;
      outgoing.end('{"tags": ["theirs"]}');
    });
    await refuse(
      await startServer((_, outgoing) => {
        outgoing.writeHead(200, { link: `<http://${foreign}/list>; rel="next"` }).end('{"tags": ["v1"]}');
      }),
    );
    expect(calls).toBe(0);
  });

  test.each([
    ["a Link that is no URL", { link: '<http://[>; rel="next"' }, '{"tags": []}'],
    ["a page that is no JSON", {}, "<html>"],
    ["pages without end", { link: '</v2/flight_delay/tags/list?last=v1>; rel="next"' }, '{"tags": ["v1"]}'],
  ])("is refused with %s", async (_, headers, body) => {
    await refuse(await startServer((__, outgoing) => outgoing.writeHead(200, headers).end(body)));
  });
});
