import { MillraceError, Reason } from "@millrace/errors";

/** Thrown before training, or by exportNetwork, for a layer that cannot be exported to ONNX. It names the layer. */
export class LayerUnsupportedError extends MillraceError {
  constructor(layer: string, kind: string, why: string) {
    super("INVALID_ARGUMENT", Reason.LAYER_UNSUPPORTED, `Layer ${layer} (${kind}) cannot be exported: ${why}.`, {
      violations: [{ field: layer, expected: "a layer that can be exported to ONNX", got: kind }],
      metadata: { layer, kind },
    });
  }
}
