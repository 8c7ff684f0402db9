import { execFileSync } from "node:child_process";
import { createSign, randomUUID, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";

/** A token service as registries name it in their challenge: it signs what the registry then checks by a certificate. */
export interface TokenService {
  readonly realm: string;
  readonly certificatePath: string;
  /** The Authorization headers and bodies that it was asked with. */
  readonly asked: { readonly authorization: string | undefined; readonly body: string }[];
  close(): Promise<void>;
}

/** @param accepts decides by Authorization header and body who gets a token. */
export const startTokenService = async (
  folder: string,
  accepts: (authorization: string | undefined, body: string) => boolean,
): Promise<TokenService> => {
  const [keyPath, certificatePath] = [join(folder, "token.key"), join(folder, "token.pem")];
  const subject = ["-subj", "/CN=tokens", "-days", "1", "-nodes", "-newkey", "rsa:2048"];
  execFileSync("openssl", ["req", "-x509", ...subject, "-keyout", keyPath, "-out", certificatePath], {
    stdio: "ignore",
  });
  const key = readFileSync(keyPath);
  const x5c = [new X509Certificate(readFileSync(certificatePath)).raw.toString("base64")];
  const asked: { authorization: string | undefined; body: string }[] = [];
  const sign = (scope: string): string => {
    const [type = "", name = "", actions = ""] = scope.split(":");
    const nowS = Math.floor(Date.now() / 1000);
    const claims = {
      iss: "tokens",
      aud: "registry",
      sub: "someone",
      exp: nowS + 60,
      nbf: nowS - 10,
      iat: nowS,
      jti: randomUUID(),
      access: [{ type, name, actions: actions.split(",") }],
    };
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ typ: "JWT", alg: "RS256", x5c })}.${part(claims)}`;
    return `${signed}.${createSign("RSA-SHA256").update(signed).sign(key).toString("base64url")}`;
  };
  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    const { authorization } = request.headers;
    asked.push({ authorization, body });
    const query =
      request.method === "POST" ? new URLSearchParams(body) : new URL(request.url ?? "", "http://x").searchParams;
    if (!accepts(authorization, body)) {
      response.writeHead(401).end();
      return;
    }
    const token = sign(query.get("scope") ?? "");
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ token, expires_in: 60 }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    realm: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/token`,
    certificatePath,
    asked,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

const textOf = async (request: IncomingMessage): Promise<string> => {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
  }
  return text;
};
