import type { ModelConfig } from "@millrace/contracts/inference/model_config";
import type { FieldViolation } from "@millrace/errors";

/** What the `parameters` of a configuration say, by the names that Triton's onnxruntime backend reads. */
export interface RuntimeParameters {
  /** Undefined where the runtime may choose: the service's default. */
  readonly intraOpThreads: number | undefined;
  readonly violations: readonly FieldViolation[];
  /** Names that are known or not, and change nothing here. */
  readonly withoutEffect: readonly string[];
}

/** Parameters that the backend knows and that only tune its memory and threads, with the values that it takes. */
const tuning: Readonly<Record<string, RegExp>> = {
  inter_op_thread_count: /^\d+$/,
  execution_mode: /^[01]$/,
  enable_mem_arena: /^(0|1|true|false)$/i,
  enable_mem_pattern: /^(0|1|true|false)$/i,
  "memory.enable_memory_arena_shrinkage": /^/,
  "session.use_device_allocator_for_initializers": /^[01]$/,
  share_session_between_instances: /^(0|1|true|false)$/i,
};

export const runtimeParameters = (config: ModelConfig): RuntimeParameters => {
  const violations: FieldViolation[] = [];
  const withoutEffect: string[] = [];
  let intraOpThreads: number | undefined;
  for (const [name, { stringValue }] of Object.entries(config.parameters)) {
    const field = `parameters.${name}`;
    if (name === "intra_op_thread_count") {
      const threads = /^\d+$/.test(stringValue) ? Number(stringValue) : Number.NaN;
      if (!(threads <= 256)) {
        violations.push({ field, expected: "a whole number from 0 to 256", got: JSON.stringify(stringValue) });
      } else if (threads > 0) intraOpThreads = threads;
      continue;
    }
    const values = tuning[name];
    if (values !== undefined && !values.test(stringValue)) {
      violations.push({ field, expected: `a text of the form ${values.source}`, got: JSON.stringify(stringValue) });
    } else withoutEffect.push(field);
  }
  return { intraOpThreads, violations, withoutEffect };
};
