import type { ServerProcess } from "../server-process.ts";

/** A model that every server of a comparison serves: one FP32 input `x` [batch, width], one FP32 output `y` [batch, 1]. */
export interface PeerModel {
  readonly name: string;
  readonly onnx: Uint8Array;
  readonly width: number;
}

/** An inference server that speaks the Open Inference Protocol over gRPC, and how it is had and started here. */
export interface Peer {
  readonly name: string;
  /** Has it installed, once. @returns where its programs are. @throws what keeps it from being installed here. */
  install(): Promise<void>;
  /**
   * Starts it on loopback, with one thread for a run as ours has by default.
   * @param folder an empty folder of its own, where it finds `models` in its own layout.
   */
  start(models: readonly PeerModel[], folder: string, grpcPort: number): Promise<ServerProcess>;
}
