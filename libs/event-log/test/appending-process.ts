/** Appends numbered records, in calls of a few, and says on stdout which calls were acknowledged. Ends when told or killed. */
import { openEventLog } from "@millrace/event-log";

const [url = "", name = "", calls = "0"] = process.argv.slice(2);
const log = await openEventLog(url);
for (let call = 0; call < Number(calls); call++) {
  const records = Array.from({ length: 1 + (call % 5) }, (_, i) => ({
    key: Buffer.from(`${name}-${(call + i) % 7}`),
    value: Buffer.from(`${name}:${call}:${i}:${"x".repeat((call * 37) % 900)}`),
  }));
  const places = await log.append("t", records);
  // Written at once, so that what is read on the other side was acknowledged whenever this process is killed.
  process.stdout.write(
    `${JSON.stringify({ call, places: places.map(({ partition, offset }) => [partition, Number(offset)]) })}\n`,
  );
}
await log.close();
