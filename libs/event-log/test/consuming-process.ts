/** A group member that says on stdout what it got. A batch is committed after it was said. Ends on SIGTERM or when killed. */
import { once } from "node:events";
import { openEventLog } from "@millrace/event-log";

const [url = "", slowMs = "0"] = process.argv.slice(2);
const log = await openEventLog(url);
const consumer = await log.consume({
  topics: ["t"],
  group: "g",
  maxBatchRecords: 20,
  handler: {
    onAssigned: async (_, partitions) => {
      process.stdout.write(`${JSON.stringify({ assigned: partitions })}\n`);
      return [];
    },
    onBatch: async ({ partition, records }, member) => {
      await new Promise((resolve) => setTimeout(resolve, Number(slowMs)));
      process.stdout.write(`${JSON.stringify({ partition, offsets: records.map(({ offset }) => Number(offset)) })}\n`);
      const last = records.at(-1);
      if (last !== undefined) await member.commit("t", [{ partition, offset: last.offset + 1n }]);
    },
  },
});
await once(process, "SIGTERM");
await consumer.close();
await log.close();
