/** The leaves of a JSON value as text, by their paths: `trainer.tfjs.layers[0].dense`. */
export const flattened = (value: unknown, path = "", into = new Map<string, string>()): Map<string, string> => {
  if (typeof value !== "object" || value === null) {
    into.set(path, String(value));
    return into;
  }
  for (const [key, each] of Object.entries(value)) {
    flattened(each, Array.isArray(value) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`, into);
  }
  return into;
};
