import { parentPort, workerData } from "node:worker_threads";
import { MillraceError, Reason } from "@millrace/errors";
import type { Tensor } from "@millrace/tensor";
import { OnnxSession } from "@millrace/tensor/onnxruntime";
import {
  type FromWorker,
  type PlacedTensor,
  packError,
  type RunMessage,
  type ToWorker,
  type UnplacedTensor,
  type WorkerStart,
} from "./worker-messages.ts";

/**
 * The thread of one model instance: it loads the model that it was started with, then runs it once for each message,
 * one after the other, until it is told to retire. Both block this thread, and nobody else.
 */
const serve = async (): Promise<void> => {
  const port = parentPort;
  if (port === null) throw new Error("The model worker runs as a worker thread only.");
  const send = (message: FromWorker) => port.postMessage(message);
  const { model, intraOpThreads } = workerData as WorkerStart;
  let session: OnnxSession;
  try {
    session = await OnnxSession.create(model, { intraOpThreads });
  } catch (error) {
    send({ kind: "refused", error: packError(asMillraceError(error)) });
    return;
  }
  const { inputs, outputs, executionProvider } = session;
  port.on("message", (message: ToWorker) => {
    if (message.kind === "retire") {
      port.close();
      session.close().catch((error: unknown) => process.emitWarning(String(error)));
      return;
    }
    run(session, message).then(send, (error: unknown) =>
      send({ kind: "failed", error: packError(asMillraceError(error)) }),
    );
  });
  send({ kind: "loaded", inputs, outputs, executionProvider });
};

const run = async (session: OnnxSession, message: RunMessage): Promise<FromWorker> => {
  const view = (placed: PlacedTensor): Tensor => ({
    name: placed.name,
    datatype: placed.datatype,
    shape: placed.shape,
    data: new Uint8Array(message.memory, placed.byteOffset, placed.byteLength),
  });
  const places = message.places.map(view);
  const startedNs = process.hrtime.bigint();
  const outputs = await session.run(message.inputs.map(view), places);
  const inferNs = Number(process.hrtime.bigint() - startedNs);
  const unplaced: UnplacedTensor[] = outputs.filter((output) => !places.includes(output));
  return { kind: "ran", unplaced, inferNs };
};

const asMillraceError = (error: unknown): MillraceError =>
  error instanceof MillraceError
    ? error
    : new MillraceError("INTERNAL", Reason.INTERNAL, "The model worker failed.", { cause: error });

await serve();
