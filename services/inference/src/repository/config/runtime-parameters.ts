import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import type { FieldViolation } from "@millrace/errors";
import type { OnnxTuning } from "@millrace/tensor/onnxruntime";

/** What a configuration says of the runtime: `parameters` by the names of Triton's onnxruntime backend, and the graph. */
export interface RuntimeParameters {
  /** Undefined where the runtime may choose: the service's default. */
  readonly intraOpThreads: number | undefined;
  readonly tuning: OnnxTuning;
  readonly violations: readonly FieldViolation[];
  /** Names that are known or not, and change nothing here. */
  readonly withoutEffect: readonly string[];
}

const graphLevels: Readonly<Record<number, OnnxTuning["graphOptimization"]>> = {
  [-1]: "basic",
  0: "all",
  1: "extended",
  2: "disabled",
};

export const runtimeParameters = (config: ModelConfig): RuntimeParameters => {
  const violations: FieldViolation[] = [];
  const withoutEffect: string[] = [];
  const texts = new Map(Object.entries(config.parameters).map(([name, { stringValue }]) => [name, stringValue]));
  const take = <T>(name: string, expected: string, read: (text: string) => T | undefined): T | undefined => {
    const text = texts.get(name);
    if (text === undefined) return undefined;
    texts.delete(name);
    const value = read(text);
    if (value === undefined) violations.push({ field: `parameters.${name}`, expected, got: JSON.stringify(text) });
    return value;
  };
  const threads = (name: string) =>
    // 0 leaves the number to the runtime: the service's default.
    take(name, "a whole number from 0 to 256", (text) => wholeNumber(text, 256)) || undefined;
  const flag = (name: string) => take(name, "0, 1, true or false", (text) => flags[text.toLowerCase()]);

  const intraOpThreads = threads("intra_op_thread_count");
  const mode = take("execution_mode", "0 (sequential) or 1 (parallel)", (text) => wholeNumber(text, 1));
  const level = config.optimization?.graph?.level ?? 0;
  const graphOptimization = graphLevels[level];
  if (graphOptimization === undefined) {
    violations.push({ field: "optimization.graph.level", expected: "-1, 0, 1 or 2", got: String(level) });
  }
  const tuning: OnnxTuning = {
    graphOptimization,
    parallel: mode === undefined ? undefined : mode === 1,
    interOpThreads: threads("inter_op_thread_count"),
    memoryArena: flag("enable_mem_arena"),
    memoryPattern: flag("enable_mem_pattern"),
  };
  for (const name of texts.keys()) withoutEffect.push(`parameters.${name}`);
  return { intraOpThreads, tuning, violations, withoutEffect };
};

const flags: Readonly<Record<string, boolean>> = { "0": false, "1": true, false: false, true: true };

const wholeNumber = (text: string, most: number): number | undefined =>
  /^\d{1,3}$/.test(text) && Number(text) <= most ? Number(text) : undefined;
