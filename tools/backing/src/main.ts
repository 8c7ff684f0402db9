import { once } from "node:events";
import { available } from "./available.ts";
import { startKafka } from "./kafka.ts";
import { startPostgres } from "./postgres.ts";
import { startRedis } from "./redis.ts";

const known = { redis: startRedis, kafka: startKafka, postgres: startPostgres } as const;
const isKnown = (name: string): name is keyof typeof known => name in known;

const wanted = process.argv.slice(2);
if (wanted.length === 0 || !wanted.every(isKnown)) {
  console.error(
    `usage: npx nx run backing:serve -- [${Object.keys(known).join("|")}] ...   starts them, prints their URLs, stops them with Ctrl-C`,
  );
  process.exit(2);
}
for (const name of wanted) {
  const answer = available(name);
  if (answer !== true) {
    console.error(answer);
    process.exit(1);
  }
}
const servers = await Promise.all(wanted.map((name) => known[name]()));
for (const { url } of servers) console.log(url);
await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
await Promise.all(servers.map((server) => server.remove()));
