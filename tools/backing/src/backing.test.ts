import { afterAll, describe, expect, test } from "vitest";
import { type BackingServer, hasBacking, startKafka, startPostgres, startRedis } from "./index.ts";

describe.each([
  ["redis", startRedis],
  ["kafka", startKafka],
  ["postgres", startPostgres],
] as const)("%s", (name, start) => {
  describe.skipIf(!hasBacking(name))("on loopback", () => {
    let server: BackingServer | undefined;
    afterAll(() => server?.remove());

    test("starts, crashes, and comes back on its port", { timeout: 120_000 }, async () => {
      server = await start();
      expect(server.url).toMatch(new RegExp(`^${name}://.*127\\.0\\.0\\.1:${server.port}`));
      await server.kill();
      await server.start();
    });
  });
});
