import { MillraceError, Reason } from "@millrace/errors";

/** Thrown when the exported graph, run by onnxruntime, answers differently from the network that was trained. */
export class ExportMismatchError extends MillraceError {
  constructor(row: number, network: number, graph: number, tolerance: number) {
    super(
      "INTERNAL",
      Reason.EXPORT_MISMATCH,
      `The exported graph answers ${graph} for row ${row} of the test split where the network answers ${network}; they may differ by ${tolerance}.`,
      { metadata: { row: String(row), network: String(network), graph: String(graph) } },
    );
  }
}

/**
 * Compares the two answer by answer: by 1e-5, relative where an answer is larger than 1.
 * @throws ExportMismatchError for the worst row.
 */
export const checkExport = (network: ArrayLike<number>, graph: ArrayLike<number>, tolerance = 1e-5): void => {
  let worst = 0;
  let at = -1;
  for (let row = 0; row < network.length; row++) {
    const expected = network[row] as number;
    const difference = Math.abs(expected - (graph[row] as number)) / Math.max(1, Math.abs(expected));
    // A difference that is no number is the worst of all.
    if (!(difference <= worst)) {
      worst = difference;
      at = row;
    }
  }
  if (!(worst <= tolerance)) {
    throw new ExportMismatchError(at, network[at] as number, graph[at] as number, tolerance);
  }
};
