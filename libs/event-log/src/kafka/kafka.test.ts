import { hasBacking, startKafka } from "@millrace/backing";
import { describe } from "vitest";
import { eventLogContract } from "../event-log.contract.ts";
import { openEventLog } from "../open-event-log.ts";

describe.skipIf(!hasBacking("kafka"))("with a real Kafka", () => {
  eventLogContract("kafka", {
    start: async () => {
      const kafka = await startKafka();
      return {
        open: () => openEventLog(kafka.url),
        crash: async () => {
          await kafka.kill();
          await kafka.start();
        },
        breakConnection: async () => {
          await kafka.kill();
          return () => kafka.start();
        },
        remove: () => kafka.remove(),
      };
    },
  });
});
