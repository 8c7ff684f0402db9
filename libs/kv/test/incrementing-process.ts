/** Adds 1 to counters, and says on stdout after each addition that was acknowledged which it was. Ends when killed. */
import { openKv } from "@millrace/kv";

const [url = "", counters = "1"] = process.argv.slice(2);
const kv = await openKv(url);
for (let turn = 0; ; turn = (turn + 1) % Number(counters)) {
  const key = Buffer.from(`{c}${turn}`);
  for (let done = false; !done; ) {
    const [entry] = await kv.getManyVersioned([key]);
    const count = entry === undefined ? 0 : Number(Buffer.from(entry.value).toString());
    const write = { key, expectedVersion: entry?.version ?? 0, value: Buffer.from(`${count + 1}`) };
    // Both ways of writing take their turn.
    done = turn % 2 === 0 ? ((await kv.compareAndSetMany([write]))[0] ?? false) : await kv.transact([write]);
  }
  process.stdout.write(`${turn}\n`);
}
