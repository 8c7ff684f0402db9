import { receiveMessageOnPort, workerData } from "node:worker_threads";
import { MillraceError, Reason } from "@millrace/errors";
import { Slab, type Tensor } from "@millrace/tensor";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import { layRows } from "./batch-rows.ts";
import { lendBytes } from "./lend-bytes.ts";
import { Turns } from "./turns.ts";
import { type FromWorker, type PlacedTensor, packError, type ToWorker, type WorkerStart } from "./worker-messages.ts";
import { yieldProcessor } from "./yield-processor.ts";

/** A run of so long has its thread give way from then on: beside it a scheduler's slice is short for whoever waits. */
const longRunNs = 100e6;

/** The tensors of one run, as views of the slab. */
interface RunTensors {
  readonly inputs: readonly Tensor[];
  readonly places: readonly Tensor[];
}

/**
 * The thread of one model instance: it loads the model that it was started with, then runs it at each of its turns, one
 * after the other, until it is told to retire. All of it blocks this thread, and nobody else.
 */
const serve = async ({ model, turns: memory, port, ...start }: WorkerStart): Promise<void> => {
  const turns = new Turns(memory);
  const send = (message: FromWorker) => port.postMessage(message);
  let turn = 0;
  let session: OnnxSession;
  turns.await(turn);
  try {
    const files = [...(start.externalData ?? [])];
    session = await lendBytes([model, ...files.map(([, bytes]) => bytes)], ([own = model, ...weights]) =>
      OnnxSession.create(own, {
        intraOpThreads: start.intraOpThreads,
        ...(start.executionProviders === undefined ? {} : { executionProviders: start.executionProviders }),
        ...(start.tuning === undefined ? {} : { tuning: start.tuning }),
        externalData: new Map(files.map(([path, bytes], index) => [path, weights[index] ?? bytes])),
        ...(start.externalDataFolder === undefined ? {} : { externalDataFolder: start.externalDataFolder }),
      }),
    );
  } catch (error) {
    send({ kind: "refused", error: packError(asMillraceError(error)) });
    turns.handBack(true, 0);
    return;
  }
  const { inputs, outputs, executionProvider } = session;
  send({ kind: "loaded", inputs, outputs, executionProvider });
  turn = turns.handBack(true, 0);

  let slab: SharedArrayBuffer | undefined;
  /** By rows: the same views serve each run of so many rows, until the memory is replaced. */
  let views = new Map<number, RunTensors>();
  let yields = false;
  /** The run before took long by the clock: whether by its own work is looked at in the next. */
  let isSuspected = false;
  for (;;) {
    const rows = turns.await(turn);
    let tensors = rows === undefined ? undefined : views.get(rows);
    if (rows === undefined) {
      const message = receiveMessageOnPort(port)?.message as ToWorker | undefined;
      if (message === undefined || message.kind === "retire") break;
      if (message.memory !== slab) views = new Map();
      slab = message.memory;
      tensors = tensorsOf(message.memory, message);
    } else if (tensors === undefined) {
      if (slab === undefined) throw new TypeError("The first run of a slab comes with a message.");
      tensors = tensorsOf(slab, layRows(new Slab(slab), session, rows));
      views.set(rows, tensors);
    }
    const cpuBefore = isSuspected && !yields ? process.threadCpuUsage() : undefined;
    const startedNs = process.hrtime.bigint();
    let hasMessage = false;
    try {
      const { places } = tensors;
      const answers = await session.run(tensors.inputs, places);
      const unplaced = answers.filter((answer) => !places.includes(answer));
      if (unplaced.length > 0) {
        send({ kind: "ran", unplaced });
        hasMessage = true;
      }
    } catch (error) {
      send({ kind: "failed", error: packError(asMillraceError(error)) });
      hasMessage = true;
    }
    const inferNs = Number(process.hrtime.bigint() - startedNs);
    isSuspected = inferNs > longRunNs;
    if (cpuBefore !== undefined) {
      const { user, system } = process.threadCpuUsage(cpuBefore);
      yields = (user + system) * 1000 > longRunNs;
      if (yields) yieldProcessor();
    }
    turn = turns.handBack(hasMessage, inferNs);
  }
  await session.close();
  port.close();
};

const tensorsOf = (
  memory: SharedArrayBuffer,
  placed: { readonly inputs: readonly PlacedTensor[]; readonly places: readonly PlacedTensor[] },
): RunTensors => {
  const view = ({ name, datatype, shape, byteOffset, byteLength }: PlacedTensor): Tensor => ({
    name,
    datatype,
    shape,
    data: new Uint8Array(memory, byteOffset, byteLength),
  });
  return { inputs: placed.inputs.map(view), places: placed.places.map(view) };
};

const asMillraceError = (error: unknown): MillraceError =>
  error instanceof MillraceError
    ? error
    : new MillraceError("INTERNAL", Reason.INTERNAL, "The model worker failed.", { cause: error });

await serve(workerData as WorkerStart);
