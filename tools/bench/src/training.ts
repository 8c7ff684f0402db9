import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { freePort } from "@millrace/backing";
import { type Run, RunState, TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import { Backend, TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { createClient, openChannel } from "@millrace/grpc";
import { startService } from "./child-server.ts";
import { type Measured, median, record } from "./record.ts";

/*
 * How long an epoch takes by backend and batch size: a network of 20-64-64-1 on 100,000 rows, through the whole service,
 * validation loss and checkpoint included. The first epoch is left out. There is no ceiling: the plain JavaScript backend
 * is slower, and Keras needs more than this repository installs.
 */
const columns = 20;
const trainingRows = 100_000;
const allRows = trainingRows * 1.02;
const epochs = Number(process.env.BENCH_EPOCHS ?? 4);

const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
const names = Array.from({ length: columns }, (_, column) => `x${column}`);
let state = 1;
const random = (): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
};
const lines = [`time,y,${names.join(",")}`];
for (let row = 0; row < allRows; row++) {
  const values = names.map(() => random() * 2 - 1);
  const y = (values[0] ?? 0) + (values[1] ?? 0) * (values[2] ?? 0) + random() > 0.5 ? 1 : 0;
  const time = new Date(Date.UTC(2001, 0, 1) + row * 1000).toISOString().slice(0, 19).replace("T", " ");
  lines.push(`${time},${y},${values.map((value) => value.toFixed(4)).join(",")}`);
}
writeFileSync(join(folder, "rows.csv"), lines.join("\n"));

const port = await freePort();
const service = await startService(join(import.meta.dirname, "../../../services/training/src/main.ts"), port, {
  MILLRACE_METRICS_PORT: "0",
  MILLRACE_STATE_URL: `lmdb:${folder}/state`,
  MILLRACE_WORK_FOLDER: join(folder, "runs"),
  MILLRACE_MODEL_STORE_URL: `oci:${folder}/models`,
  MILLRACE_DATA_ROOT: folder,
  MILLRACE_LOG_LEVEL: "error",
});
const channel = openChannel(`127.0.0.1:${port}`);
const client = createClient(TrainingService, channel);
const at = (row: number) => ({ seconds: BigInt(Date.UTC(2001, 0, 1) / 1000 + row), nanos: 0 });

const run = async (backend: Backend, batchSize: number): Promise<Run | undefined> => {
  const spec = create(TrainingSpecSchema, {
    name: "bench",
    dataset: {
      columns: names,
      examples: { data: { case: "csv", value: "rows.csv" }, eventTime: "time", label: "y" },
      split: {
        split: {
          case: "byTime",
          value: { validationFrom: at(trainingRows), testFrom: at(trainingRows * 1.01) },
        },
      },
    },
    trainer: {
      trainer: {
        case: "tfjs",
        value: {
          layers: [{ layer: { case: "dense", value: 64 } }, { layer: { case: "dense", value: 64 } }],
          epochs,
          batchSize,
          learningRate: 0.001,
          backend,
        },
      },
    },
    seed: 7n,
    output: { repository: "bench" },
  });
  const started = await client.startRun({ spec });
  let last = started.run;
  for await (const { run: next } of client.watchRun({ id: started.run?.id ?? "" })) last = next;
  return last;
};

const rows: Measured[] = [];
try {
  for (const [name, backend] of [
    ["WASM", Backend.WASM],
    ["native CPU", Backend.NATIVE_CPU],
  ] as const) {
    for (const batchSize of [512, 4096]) {
      const ended = await run(backend, batchSize);
      if (ended?.state !== RunState.SUCCEEDED) {
        console.log(`${name}, batch ${batchSize}: not measured. ${ended?.error?.message ?? ""}`);
        continue;
      }
      const seconds = ended.epochs.slice(1).map((epoch) => epoch.seconds);
      const what = `an epoch of ${trainingRows} rows, 20-64-64-1, batch ${batchSize}: ${name}`;
      rows.push({ what, ours: median(seconds), unit: "s", runs: seconds, note: ended.backend });
    }
  }
} finally {
  channel.close();
  await service.stop();
  rmSync(folder, { recursive: true, force: true });
}
record("training", "npx nx run bench:training", rows);
