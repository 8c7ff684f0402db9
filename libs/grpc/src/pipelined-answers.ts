import type { CallContext } from "./call-context.ts";
import type { RawPipelined } from "./service-implementation.ts";
import { StreamWindow } from "./stream-window.ts";

/**
 * A pipelined method as a handler of a bidirectional stream of grpc-js, for calls whose messages are compressed. It answers
 * as `PipelinedStream` does.
 */
export const pipelinedAnswers = ({ answer }: RawPipelined) =>
  async function* (requests: AsyncIterable<Uint8Array>, call: CallContext): AsyncIterable<Uint8Array> {
    const window = new StreamWindow();
    const pending: Promise<Uint8Array>[] = [];
    let wakeWriter = () => {};
    let wakeReader = () => {};
    let ended = false;
    let failure: { readonly error: unknown } | undefined;
    const answerNext = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const answered = await answer(bytes, call);
      window.answered(bytes.byteLength, answered.byteLength);
      return answered;
    };
    const read = async (): Promise<void> => {
      try {
        for await (const bytes of requests) {
          window.requested(bytes.byteLength);
          const next = answerNext(bytes);
          // It is looked at when it is its turn.
          next.catch(() => {});
          pending.push(next);
          wakeWriter();
          while (!window.open && !call.signal.aborted) {
            await new Promise<void>((resolve) => {
              wakeReader = resolve;
            });
          }
        }
      } catch (error) {
        failure = { error };
      }
      ended = true;
      wakeWriter();
    };
    const onAbort = () => wakeReader();
    call.signal.addEventListener("abort", onAbort, { once: true });
    void read();
    try {
      for (;;) {
        const next = pending[0];
        if (next !== undefined) {
          const bytes = await next;
          pending.shift();
          yield bytes;
          window.sent(bytes.byteLength);
          wakeReader();
        } else if (failure !== undefined) {
          throw failure.error;
        } else if (ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            wakeWriter = resolve;
          });
        }
      }
    } finally {
      call.signal.removeEventListener("abort", onAbort);
    }
  };
