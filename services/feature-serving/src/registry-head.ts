/** An older version of a feature service that can still be asked for. */
export interface KeptServiceVersion {
  readonly service: string;
  readonly version: string;
  /** The entry with the definitions that it needs, by their hash. */
  readonly definitions: string;
  /** When another version was applied, in ms since 1970. */
  readonly replacedAtMs: number;
}

/** A view version that has not caught up with the one before it, which answers until then. */
export interface FillingView {
  readonly view: string;
  readonly version: string;
  readonly before: {
    readonly version: string;
    /** The entry with the definitions that the version before needs, by their hash. */
    readonly definitions: string;
  };
}

/**
 * What is in force: the small entry of the registry that every process looks at again and again. Definitions lie in
 * entries of their own, named by their hash, which are written and dropped in one transaction with the head.
 */
export interface RegistryHead {
  /** Counts the Applies that changed something. */
  readonly registryVersion: number;
  /** The entry with the applied definitions, by their hash. */
  readonly definitions: string;
  /** Hash of the applied definitions whatever their order. */
  readonly definitionsHash: string;
  readonly revision: string;
  readonly appliedAtMs: number;
  readonly kept: readonly KeptServiceVersion[];
  readonly filling: readonly FillingView[];
  /** By feature service: the kept version that answers while views of the applied one fill. */
  readonly answering: Readonly<Record<string, string>>;
}

/** The definitions that a head refers to, each once. */
export function definitionsOf(head: RegistryHead): Set<string> {
  return new Set([
    head.definitions,
    ...head.kept.map(({ definitions }) => definitions),
    ...head.filling.map(({ before }) => before.definitions),
  ]);
}

/** `view@version`. */
export function viewIdOf({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name}@${version}`;
}
