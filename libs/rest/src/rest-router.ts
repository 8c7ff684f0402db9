import { BodyInvalidError } from "./body-invalid-error.ts";
import { PathUnknownError } from "./rest-error.ts";
import type { RestRoute } from "./rest-route.ts";

/** The route of a request, and the parts of its path by their names. */
export interface Routed {
  readonly route: RestRoute;
  readonly parts: ReadonlyMap<string, string>;
}

/** Finds the route of a path. */
export class RestRouter {
  readonly #patterns: readonly { readonly segments: readonly string[]; readonly route: RestRoute }[];

  constructor(routes: readonly RestRoute[]) {
    this.#patterns = routes.flatMap((route) =>
      expanded(route.path).map((path) => ({ segments: path.split("/"), route })),
    );
  }

  /** @throws PathUnknownError, BodyInvalidError where the path cannot be decoded. */
  find(method: string, path: string): Routed {
    const segments = path.replace(/^\/|\/$/g, "").split("/");
    const allowed: string[] = [];
    for (const pattern of this.#patterns) {
      if (!fits(pattern.segments, segments)) continue;
      if (pattern.route.method === method) return { route: pattern.route, parts: partsOf(pattern.segments, segments) };
      allowed.push(pattern.route.method);
    }
    throw new PathUnknownError(method, path, allowed);
  }
}

/** The paths of a pattern with and without what is in brackets. */
const expanded = (path: string): string[] => {
  const [whole, optional] = /\[(.*)\]/.exec(path) ?? [];
  return whole === undefined ? [path] : [path.replace(whole, ""), path.replace(whole, optional ?? "")];
};

const fits = (pattern: readonly string[], segments: readonly string[]): boolean =>
  pattern.length === segments.length &&
  pattern.every((part, at) => (part.startsWith(":") ? segments[at] !== "" : part === segments[at]));

const partsOf = (pattern: readonly string[], segments: readonly string[]): ReadonlyMap<string, string> => {
  const parts = new Map<string, string>();
  for (const [at, part] of pattern.entries()) {
    if (part.startsWith(":")) parts.set(part.slice(1), decoded(segments[at] ?? ""));
  }
  return parts;
};

const decoded = (segment: string): string => {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new BodyInvalidError("path", "a path that can be decoded", segment.slice(0, 40));
  }
};
