import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { Gauge, type Registry } from "prom-client";

/** Registers Triton's metrics of the machine. The delay of the event loop is among Node's own, `nodejs_eventloop_lag_*`. */
export const registerMachineMetrics = (registry: Registry): void => {
  let before = cpuTimes();
  let utilization = 0;
  new Gauge({
    name: "nv_cpu_utilization",
    help: "Share of the machine's processor time that was used since the last look, from 0 to 1.",
    registers: [registry],
    collect() {
      const now = cpuTimes();
      const whole = now.whole - before.whole;
      // Two looks within one tick of the clock tell nothing.
      if (whole >= 10 * availableParallelism()) {
        utilization = 1 - (now.idle - before.idle) / whole;
        before = now;
      }
      this.set(utilization);
    },
  });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge("nv_cpu_memory_total_bytes", "Memory of the machine, in bytes.", totalmem);
  gauge(
    "nv_cpu_memory_used_bytes",
    "Memory of the machine that is not available, in bytes.",
    () => totalmem() - freemem(),
  );
};

/** In ms, of all cores together. */
const cpuTimes = (): { readonly idle: number; readonly whole: number } => {
  let idle = 0;
  let whole = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    whole += times.idle + times.user + times.nice + times.sys + times.irq;
  }
  return { idle, whole };
};
