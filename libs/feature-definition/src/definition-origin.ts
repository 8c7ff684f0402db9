/** Where a definition stands: a file, relative to the repository's folder, and the path within it. */
export interface DefinitionOrigin {
  readonly file: string;
  readonly path: string;
}

const origins = new WeakMap<object, DefinitionOrigin>();

/** Remembers where a definition was read, so that a later problem can name it. */
export const rememberOrigin = (definition: object, origin: DefinitionOrigin): void => {
  origins.set(definition, origin);
};

/**
 * The place to name in a problem: `file: path` if the definition was read from a file, else the path in the message.
 * @param fallback the path of the definition in the message, such as `feature_views[2]`.
 */
export const placeOf = (definition: object, fallback: string): string => {
  const origin = origins.get(definition);
  return origin === undefined ? fallback : `${origin.file}: ${origin.path}`;
};
