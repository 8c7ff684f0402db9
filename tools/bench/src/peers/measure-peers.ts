import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { record } from "../record.ts";
import { kserve } from "./kserve.ts";
import { measureStart } from "./measure-start.ts";
import { measureThroughput } from "./measure-throughput.ts";
import { millrace } from "./millrace.ts";
import { mlserver } from "./mlserver.ts";
import type { Peer } from "./peer.ts";
import { triton } from "./triton.ts";

/**
 * Installs, starts and measures MLServer, KServe's Python server and Triton beside ours and a grpc-js echo: throughput in
 * turns with all of them up, and then, one by one, cold start and memory. A peer that cannot be had is named, and left out.
 */
export const measurePeers = async (command: string, runs: number, seconds: number): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-bench-"));
  try {
    const peers = [millrace];
    for (const peer of [mlserver(1), mlserver(0), kserve, triton(true), triton(false)]) {
      if (await isInstalled(peer)) peers.push(peer);
    }
    const rows = [
      ...(await measureThroughput(peers, join(folder, "throughput"), runs, seconds)),
      ...(await measureStart(peers, join(folder, "start"), runs)),
    ];
    record("inference-peers", command, rows);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const isInstalled = async (peer: Peer): Promise<boolean> => {
  try {
    await peer.install();
    return true;
  } catch (error) {
    console.warn(`${peer.name} cannot be had here and is left out: ${String(error)}`);
    return false;
  }
};
