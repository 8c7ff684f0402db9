/**
 * Prints how many records a second the logs append and consume here, and how long a record takes to its consumer: `npx nx
 * run event-log:rates [URL …]`. Without URLs: an embedded log, and a Kafka that is started for it where one is installed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { available, startKafka } from "@millrace/backing";
import { type EventLog, openEventLog } from "@millrace/event-log";

const valueBytes = 200;
const records = 200_000;
const inFlight = 4;

const show = (name: string, what: string, figure: string): void =>
  console.log(`${name.padEnd(10)} ${what.padEnd(44)} ${figure}`);
const perSecond = (count: number, ms: number): string => `${Math.round((count / ms) * 1000).toLocaleString("en")}/s`;

const rates = async (name: string, log: EventLog): Promise<void> => {
  const topic = `rates-${Math.random().toString(36).slice(2)}`;
  await log.ensureTopic(topic, 3);
  const value = Buffer.alloc(valueBytes, 1);
  const batch = Array.from({ length: 1000 }, (_, i) => ({ key: Buffer.from(`key-${i}`), value }));

  let begun = performance.now();
  const appendSome = async (): Promise<void> => {
    for (let done = 0; done < records / inFlight; done += batch.length) await log.append(topic, batch);
  };
  await Promise.all(Array.from({ length: inFlight }, appendSome));
  show(name, `append, 1,000 a call, ${inFlight} calls at once`, perSecond(records, performance.now() - begun));

  begun = performance.now();
  for (let i = 0; i < 500; i++) await log.append(topic, [{ key: Buffer.from(`${i}`), value }]);
  show(name, "append, 1 a call, one call at a time", perSecond(500, performance.now() - begun));

  begun = performance.now();
  let consumed = 0;
  const waits: number[] = [];
  const caughtUp = Promise.withResolvers<void>();
  const consumer = await log.consume({
    topics: [topic],
    group: "rates",
    handler: {
      onBatch: async (received, member) => {
        consumed += received.records.length;
        const last = received.records.at(-1);
        if (last === undefined) return;
        const sentAt = last.headers.at;
        if (sentAt !== undefined) waits.push(performance.timeOrigin + performance.now() - Number(sentAt));
        await member.commit(topic, [{ partition: received.partition, offset: last.offset + 1n }]);
        if (consumed >= records + 500) caughtUp.resolve();
      },
    },
  });
  await caughtUp.promise;
  show(name, "consume and commit, batches of up to 1,000", perSecond(records + 500, performance.now() - begun));

  for (let i = 0; i < 200; i++) {
    await log.append(topic, [{ value, headers: { at: `${performance.timeOrigin + performance.now()}` } }]);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  waits.sort((a, b) => a - b);
  const at = (share: number): string => (waits[Math.floor(waits.length * share)] ?? Number.NaN).toFixed(1);
  show(name, "from the call of append to the handler", `median ${at(0.5)} ms, 99 % ${at(0.99)} ms`);
  await consumer.close();
  await log.deleteTopic(topic);
  await log.close();
};

console.log(`values of ${valueBytes} bytes, 3 partitions, ${cpus().length} cores, Node ${process.versions.node}`);
const urls = process.argv.slice(2);
for (const url of urls) await rates(new URL(url).protocol, await openEventLog(url));
if (urls.length === 0) {
  for (const durability of ["disk", "process"]) {
    const folder = mkdtempSync(join(tmpdir(), "millrace-log-"));
    await rates(
      durability === "disk" ? "embedded" : "…process",
      await openEventLog(`log:${folder}?durability=${durability}`),
    );
    rmSync(folder, { recursive: true });
  }
  const isThere = available("kafka");
  if (isThere === true) {
    const kafka = await startKafka();
    await rates("kafka", await openEventLog(kafka.url));
    await kafka.remove();
  } else console.log(`kafka: ${isThere}`);
}
