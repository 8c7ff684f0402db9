// Writes feature-repository.schema.json from the contract: `npm run schema`.
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { repositoryJsonSchema } from "../src/json-schema.ts";

/** The JSON Schema as it is checked in, from the .proto files as they are. */
export const generateSchema = async (): Promise<string> => {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const build = ["build", "--as-file-descriptor-set", "-o", "-#format=binpb"];
  const { stdout } = await promisify(execFile)("buf", build, {
    cwd: root,
    encoding: "buffer",
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env.PATH ?? ""}` },
  });
  return `${JSON.stringify(repositoryJsonSchema(stdout), null, 2)}\n`;
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(new URL("feature-repository.schema.json", import.meta.url), await generateSchema());
}
