import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { afterAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { trainingSetSql } from "../src/duckdb/training-set-sql.ts";
import { type CompiledRepository, compileRepository, DefinitionInvalidError, loadRepository } from "../src/index.ts";
import { createViewStream } from "../src/stream/create-view-stream.ts";
import { mutated, wholeRepository } from "./mutated-repository.ts";

const seed = Number(process.env.MILLRACE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const rounds = Number(process.env.MILLRACE_FUZZ ?? 600);
console.log(`seed ${seed}`);
let state = seed;
const below = (limit: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
};

const folder = mkdtempSync(join(tmpdir(), "fuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What is made of a file: compiled definitions, or problems. Anything else is thrown. */
const made = async (text: string): Promise<CompiledRepository | DefinitionInvalidError> => {
  writeFileSync(join(folder, "features.yaml"), text);
  try {
    return compileRepository(await loadRepository(folder));
  } catch (error) {
    if (error instanceof DefinitionInvalidError) return error;
    throw new Error(`seed ${seed}: ${text}`, { cause: error });
  }
};

/** What compiled definitions are used for must not fail either. */
const use = (repository: CompiledRepository): void => {
  for (const view of repository.views.values()) {
    const stream = createViewStream(view);
    stream.size();
    stream.serve(undefined, 0, { nowUs: 0, withExpiredValues: false });
  }
  for (const service of repository.services.values()) {
    trainingSetSql(repository, service, AsOf.KNOWN_AT, () => "SELECT 1");
  }
};

describe(`definitions of any shape (seed ${seed})`, { timeout: 120_000 }, () => {
  test("compile where nothing is wrong with them", async () => {
    expect(await made(stringify(wholeRepository()))).not.toBeInstanceOf(DefinitionInvalidError);
  });

  test("are compiled, or refused with places and reasons, whatever stands where", async () => {
    let refused = 0;
    for (let round = 0; round < rounds; round++) {
      const found = await made(JSON.stringify(mutated(below)));
      if (!(found instanceof DefinitionInvalidError)) {
        use(found);
        continue;
      }
      refused++;
      expect(found.problems.length).toBeGreaterThan(0);
      for (const { field, expected } of found.problems) {
        expect(field).toContain("features.yaml");
        expect(expected).not.toBe("");
      }
    }
    expect(refused).toBeGreaterThan(rounds / 2);
    expect(refused).toBeLessThan(rounds);
  });

  test("are refused, or compiled, whatever a file holds", async () => {
    const good = stringify(wholeRepository());
    for (let round = 0; round < rounds / 2; round++) {
      let text = good;
      for (let change = 0; change <= below(4); change++) {
        const at = below(text.length);
        const inserted = [
          "",
          "\n",
          " ",
          "  - ",
          ": ",
          "&a ",
          "*a",
          "!!binary ",
          "{",
          "]",
          "'",
          "\t",
          "\u0000",
          "? ",
          "|\n",
        ][below(15)];
        text = text.slice(0, at) + inserted + text.slice(at + below(6));
      }
      const found = await made(text);
      if (!(found instanceof DefinitionInvalidError)) use(found);
    }
  });
});
