/** How a registry wants to be asked, from its `WWW-Authenticate` header. */
export type AuthChallenge =
  | { readonly scheme: "basic" }
  | { readonly scheme: "bearer"; readonly realm: string; readonly service?: string; readonly scope?: string };

const challengeForm = /(basic|bearer)\b((?:\s*,?\s*[a-z_]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",]+))*)/gi;
const parameterForm = /([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/gi;

/** Reads the first challenge that we can meet, a bearer one before a basic one; undefined where there is none. */
export const parseAuthChallenge = (header: string): AuthChallenge | undefined => {
  let basic: AuthChallenge | undefined;
  for (const [, scheme = "", parameters = ""] of header.matchAll(challengeForm)) {
    if (scheme.toLowerCase() === "basic") {
      basic = { scheme: "basic" };
      continue;
    }
    const values = new Map<string, string>();
    for (const [, name = "", quoted, bare] of parameters.matchAll(parameterForm)) {
      values.set(name.toLowerCase(), quoted === undefined ? (bare ?? "") : quoted.replace(/\\(.)/g, "$1"));
    }
    const realm = values.get("realm");
    if (realm !== undefined) {
      const service = values.get("service");
      const scope = values.get("scope");
      return {
        scheme: "bearer",
        realm,
        ...(service === undefined ? {} : { service }),
        ...(scope === undefined ? {} : { scope }),
      };
    }
  }
  return basic;
};
