import type { InFlightBytes } from "@millrace/rest";
import { Gauge, type Registry } from "prom-client";

/** Registers the gauge of the bytes of requests that are under way. */
export const registerInFlightMetrics = (registry: Registry, inFlight: InFlightBytes): void => {
  new Gauge({
    name: "millrace_inference_in_flight_bytes",
    help: "Bytes of the requests that are under way.",
    registers: [registry],
    collect() {
      this.set(inFlight.bytes);
    },
  });
};
