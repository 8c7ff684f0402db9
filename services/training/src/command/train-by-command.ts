import { existsSync } from "node:fs";
import { lstat, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toJsonString } from "@bufbuild/protobuf";
import { RunPhase } from "@millrace/contracts/millrace/training/v1/training_service";
import { type CommandTrainer, TrainingSpecSchema } from "@millrace/contracts/millrace/training/v1/training_spec";
import { parseDurationUs } from "@millrace/feature-definition";
import type { TrainedModel, TrainingTask } from "../pipeline/trained-model.ts";
import { readTrained, tryModel } from "./check-trained-model.ts";
import { readReportedMetrics } from "./reported-metrics.ts";
import { runProgram } from "./run-program.ts";
import { TrainerFailedError } from "./trainer-failed-error.ts";
import { TrainerLog } from "./trainer-log.ts";
import { writeTrainerDataset } from "./write-trainer-dataset.ts";

const defaultTimeout = "6h";
const mostModelBytes = 1024 ** 3;

/** Variables of the service that a program gets; no other, since the service's may hold secrets. */
const passedOn =
  /^(PATH|HOME|USER|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|DYLD_.*|VIRTUAL_ENV|PYTHONPATH|OMP_NUM_THREADS|CUDA_VISIBLE_DEVICES)$/;

/**
 * Lets a program train: writes the dataset for it, runs it, and checks what it has left. Begun again after a kill it
 * starts the program anew; what that has put into MILLRACE_CHECKPOINT is still there.
 * @throws TrainerFailedError
 */
export const trainByCommand = async (
  { spec, table, split, inputs, order: run, programDataset, parameters, signal, report }: TrainingTask,
  trainer: CommandTrainer,
): Promise<TrainedModel> => {
  const output = join(run.runFolder, "trainer-output");
  const checkpoint = join(run.runFolder, "trainer-checkpoint");
  const done = join(run.runFolder, "trainer-done");
  report({ kind: "backend", text: `command: ${trainer.argv.join(" ")}` });
  report({ kind: "phase", phase: RunPhase.TRAINING, detail: `Running ${trainer.argv.join(" ")}.` });
  if (!existsSync(done)) {
    await writeTrainerDataset(programDataset, table, split, inputs, spec.seed);
    await rm(output, { recursive: true, force: true });
    await mkdir(output, { recursive: true });
    await mkdir(checkpoint, { recursive: true });
    const log = new TrainerLog(report);
    const own = Object.entries(process.env).flatMap(([name, value]) =>
      passedOn.test(name) && value !== undefined ? [[name, value] as const] : [],
    );
    try {
      await runProgram({
        argv: trainer.argv,
        environment: {
          ...Object.fromEntries(own),
          ...trainer.environment,
          MILLRACE_DATASET: programDataset,
          MILLRACE_SPEC: toJsonString(TrainingSpecSchema, spec),
          MILLRACE_OUTPUT: output,
          MILLRACE_CHECKPOINT: checkpoint,
          ...(parameters === undefined ? {} : { MILLRACE_PARAMETERS: JSON.stringify(parameters) }),
        },
        folder: run.trainerFolder,
        timeoutMs: Number(parseDurationUs(trainer.timeout || defaultTimeout)) / 1000,
        logFile: run.logFile,
        groupFile: join(run.runFolder, "trainer-process.json"),
        onLine: (line) => log.note(line),
        signal,
      });
    } finally {
      log.end();
    }
    // What the program has left is looked at again after a restart, and not made again.
    await writeFile(done, "");
  }
  const reported = await readReportedMetrics(join(output, "metrics.json"));
  if (reported !== undefined) report({ kind: "reported", metrics: reported });
  report({ kind: "phase", phase: RunPhase.EXPORTING, detail: "Checking the model that the program has left." });
  const model = await readModelFile(join(output, "model.onnx"));
  const { inputs: read, outputName, producer } = readTrained(model, inputs);
  const columns = read.flatMap(({ name }) => table.features.find((feature) => feature.name === name) ?? []);
  await tryModel(model, read, columns, split.validation, split.task, signal);
  return {
    model,
    inputs: read,
    outputName,
    trainer: `command: ${trainer.argv.join(" ")} (${producer})`,
    // The program has trained, and nobody else can say what it should have answered.
    check: () => undefined,
    close: () => undefined,
  };
};

const readModelFile = async (path: string): Promise<Uint8Array> => {
  const field = "MILLRACE_OUTPUT/model.onnx";
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) throw new TrainerFailedError(field, `The trainer ended well and left no ${field}.`);
  // A link could name any file of the service's machine, and the package would carry it away.
  if (!found.isFile()) throw new TrainerFailedError(field, `${field}: expected a file, got a link or a folder.`);
  if (found.size > mostModelBytes) {
    throw new TrainerFailedError(field, `${field}: expected at most ${mostModelBytes} bytes, got ${found.size}.`);
  }
  return await readFile(path);
};
