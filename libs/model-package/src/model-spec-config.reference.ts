/**
 * What the CNCF model specification (v0.0.7, config.md) allows in an artifact's config, as a judge of ours. Each level is
 * closed: other keys are not allowed.
 */
type Rule = (value: unknown) => boolean;

const text: Rule = (value) => typeof value === "string";
const time: Rule = (value) =>
  typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value);
const texts: Rule = (value) => Array.isArray(value) && value.every(text);
const flag: Rule = (value) => typeof value === "boolean";
const modalities: Rule = (value) =>
  Array.isArray(value) && value.every((one) => ["text", "image", "audio", "video", "embedding", "other"].includes(one));

const levels: Readonly<
  Record<string, { readonly required: readonly string[]; readonly keys: Record<string, Rule | string> }>
> = {
  artifact: {
    required: ["descriptor", "config", "modelfs"],
    keys: { descriptor: "descriptor", config: "config", modelfs: "modelfs" },
  },
  descriptor: {
    required: [],
    keys: {
      createdAt: time,
      authors: texts,
      family: text,
      name: (value) => typeof value === "string" && value.length > 0,
      docURL: text,
      sourceURL: text,
      datasetsURL: texts,
      version: text,
      revision: text,
      vendor: text,
      licenses: texts,
      title: text,
      description: text,
    },
  },
  config: {
    required: [],
    keys: {
      architecture: text,
      format: text,
      paramSize: text,
      precision: text,
      quantization: text,
      capabilities: "capabilities",
    },
  },
  capabilities: {
    required: [],
    keys: {
      inputTypes: modalities,
      outputTypes: modalities,
      knowledgeCutoff: time,
      reasoning: flag,
      toolUsage: flag,
      reward: flag,
      languages: texts,
    },
  },
  modelfs: {
    required: ["type", "diffIds"],
    keys: { type: (value) => value === "layers", diffIds: (value) => texts(value) && (value as unknown[]).length > 0 },
  },
};

/** The paths of a config that break the specification; empty where it holds. */
export const brokenBySpecification = (value: unknown, level = "artifact"): string[] => {
  const rules = levels[level];
  if (rules === undefined || typeof value !== "object" || value === null || Array.isArray(value)) {
    return [level];
  }
  const missing = rules.required.filter((key) => !Object.hasOwn(value, key)).map((key) => `${level}.${key}`);
  const broken = Object.entries(value).flatMap(([key, member]) => {
    const rule = rules.keys[key];
    if (typeof rule === "string") return brokenBySpecification(member, rule);
    return rule?.(member) === true ? [] : [`${level}.${key}`];
  });
  return [...missing, ...broken];
};
