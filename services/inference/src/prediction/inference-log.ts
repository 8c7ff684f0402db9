import { createHash, randomUUID } from "node:crypto";
import type { NewRecord } from "@millrace/event-log";
import type { Tensor } from "@millrace/tensor";
import type { ObservedRun, RunObserver } from "../serving/inference-path.ts";
import type { Servable } from "../serving/servable.ts";
import { InferRecordForm } from "./infer-record-form.ts";
import { type LoggableRows, predictionHeaders } from "./loggable-rows.ts";
import type { PredictionLog } from "./prediction-log.ts";
import { isSampled } from "./prediction-records.ts";
import { RecordWriter } from "./record-writer.ts";

/** Longest id of a call that becomes part of its predictions' ids as it is, in bytes. */
const longestId = 256;

/**
 * Logs the rows of calls with tensors, the inputs in the place of features, by the share that the deployment asks for.
 * The call only has its outputs copied; its answer waits for nothing.
 *
 * The prediction of a row is known by `model/id/row`, with the id that the caller gave its request (a hash of it where it
 * is long), else with a new one. A call that is repeated with its id is logged under the same ids again: they are the
 * same predictions, and consumers of the log count them once.
 */
export class InferenceLog implements RunObserver {
  readonly #log: PredictionLog;
  readonly #forms = new WeakMap<Servable, InferRecordForm>();
  readonly #writer = new RecordWriter();

  constructor(log: PredictionLog) {
    this.#log = log;
  }

  begin(run: ObservedRun): ((outputs: readonly Tensor[]) => void) | undefined {
    const share = run.served.policy.inferSampling;
    // A prediction by entity logs itself, with its features.
    if (share === 0 || run.byEntity === true) return undefined;
    const rows = run.served.batched ? run.rows : 1;
    const stem = `${run.served.name}/${run.id === "" ? randomUUID() : idOf(run.id)}`;
    const sampled = share >= 1 ? undefined : sample(stem, rows, share);
    if (sampled?.length === 0 || rows === 0) return undefined;
    const startedMs = performance.now();
    return (outputs) => {
      // The views are void when this returns.
      const kept = outputs.map((output) => ({ ...output, data: Buffer.from(output.data) }));
      this.#log.offer(this.#rowsOf(run, stem, rows, sampled, kept, performance.now() - startedMs));
    };
  }

  #rowsOf(
    { served, inputs, caller }: ObservedRun,
    stem: string,
    rows: number,
    sampled: readonly number[] | undefined,
    outputs: readonly Tensor[],
    latencyMs: number,
  ): LoggableRows {
    const answeredMs = Date.now();
    const call = { arrivedMs: answeredMs - latencyMs, answeredMs, latencyMs, traceId: caller.traceId() ?? "" };
    let encode: ReturnType<InferRecordForm["rows"]> | undefined;
    return {
      count: sampled?.length ?? rows,
      bytes: sizeOf(inputs) + sizeOf(outputs),
      records: (from, to) => {
        encode ??= this.#formOf(served).rows(inputs, outputs, rows, call);
        const records: NewRecord[] = [];
        for (let place = from; place < to; place++) {
          const row = sampled?.[place] ?? place;
          const id = `${stem}/${row}`;
          const key = Buffer.from(id);
          encode(this.#writer, row, key);
          const value = this.#writer.take();
          records.push({ key, value, headers: predictionHeaders(id, served.name, answeredMs) });
        }
        return records;
      },
    };
  }

  #formOf(served: Servable): InferRecordForm {
    let form = this.#forms.get(served);
    if (form === undefined) {
      form = new InferRecordForm(served);
      this.#forms.set(served, form);
    }
    return form;
  }
}

const sizeOf = (tensors: readonly Tensor[]): number => {
  let bytes = 0;
  for (const { data } of tensors) bytes += data.byteLength;
  return bytes;
};

/** The rows that belong to the sample. */
const sample = (stem: string, rows: number, share: number): number[] => {
  const sampled: number[] = [];
  for (let row = 0; row < rows; row++) if (isSampled(`${stem}/${row}`, share)) sampled.push(row);
  return sampled;
};

const idOf = (id: string): string =>
  Buffer.byteLength(id) <= longestId && !id.includes("\0")
    ? id
    : `sha256:${createHash("sha256").update(id).digest("hex")}`;
