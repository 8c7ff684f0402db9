import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the loss becomes NaN or infinite. The checkpoint of the last good epoch is kept. */
export class TrainingDivergedError extends MillraceError {
  constructor(epoch: number, step: number, loss: number, lastGoodEpoch: number) {
    const kept =
      lastGoodEpoch === 0 ? "No epoch had been finished" : `The checkpoint after epoch ${lastGoodEpoch} is kept`;
    super(
      "FAILED_PRECONDITION",
      Reason.TRAINING_DIVERGED,
      `The loss became ${loss} in step ${step} of epoch ${epoch}. ${kept}. A lower learningRate may help.`,
      {
        violations: [
          { field: "trainer.tfjs.learning_rate", expected: "a finite loss", got: `${loss} in epoch ${epoch}` },
        ],
        metadata: { epoch: String(epoch), lastGoodEpoch: String(lastGoodEpoch) },
      },
    );
  }
}
