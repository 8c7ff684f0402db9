import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Change_Kind } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { loadRepository } from "@millrace/feature-definition";
import type { Narration } from "../narration.ts";
import { story } from "../story.ts";
import type { Clients } from "./clients.ts";

const kinds = new Map<number, string>(
  Object.entries(Change_Kind).map(([name, number]) => [number, name.toLowerCase()]),
);

/** The git revision of the definitions, where they lie in a git repository. */
const gitRevision = async (folder: string): Promise<string> => {
  try {
    const { stdout } = await promisify(execFile)("git", ["-C", folder, "rev-parse", "HEAD"]);
    return stdout.trim();
  } catch {
    // An unpacked archive has no history; lineage then has the hash of the definitions alone.
    return "";
  }
};

/** Plans and applies the feature repository. @returns the hash of its definitions. */
export const applyDefinitions = async (
  { features }: Clients,
  folder: string,
  narration: Narration,
): Promise<string> => {
  const repository = await loadRepository(folder);
  const plan = await features.plan({ repository });
  if (plan.changes.length === 0) narration.line("Nothing to change: these definitions are in force.");
  for (const change of plan.changes) {
    const bytes =
      change.typicalBytesPerKey > 0n
        ? `  (${change.typicalBytesPerKey} bytes a key, at most ${change.worstBytesPerKey})`
        : "";
    narration.line(`${(kinds.get(change.kind) ?? "").padEnd(6)} ${change.object} ${change.name}${bytes}`);
  }
  const applied = await features.apply({
    repository,
    revision: await gitRevision(folder),
    expectedRegistryVersion: plan.registryVersion,
  });
  narration.line(`Registry version ${applied.registryVersion}, definitions ${applied.definitionsHash.slice(0, 12)}.`);
  return applied.definitionsHash;
};

/** Fills the online store with what happened before the replay begins. */
export const materializeHistory = async ({ features }: Clients, narration: Narration): Promise<void> => {
  for (const view of ["airport_profile", "airport_delays"]) {
    let rows = 0n;
    let keys = 0n;
    const answers = features.materialize(
      { view, to: { seconds: BigInt(story.replayFromUs / 1_000_000), nanos: 0 } },
      { timeoutMs: 300_000 },
    );
    for await (const answer of answers) {
      rows = answer.rows;
      keys = answer.keys;
      narration.progress(`${view}: ${answer.rows} of ${answer.totalRows} facts`);
    }
    narration.line(`${view}: ${rows} facts of history, ${keys} airports online.`);
  }
};
