import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fromJson, toJson } from "@bufbuild/protobuf";
import { freePort } from "@millrace/backing";
import { FeatureRepositorySchema } from "@millrace/contracts/millrace/feature/v1/feature_repository";
import { expect, onTestFinished, test } from "vitest";
import { arrivalsRepository } from "../arrivals-repository.ts";
import { startFeatureServing } from "../feature-serving-process.ts";

const environment = join(import.meta.dirname, "../../../../.backing/feast");
const python = join(environment, "bin/python");
const release = "0.67.0";

test("the public Feast SDK writes and reads through its remote online store, unchanged", async () => {
  if (!existsSync(join(environment, "bin/feast"))) {
    execFileSync("python3", ["-m", "venv", environment]);
    execFileSync(python, ["-m", "pip", "install", "--quiet", `feast==${release}`], { timeout: 540_000 });
  }
  const folder = mkdtempSync(join(tmpdir(), "millrace-feast-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const port = await freePort();
  const service = await startFeatureServing(
    { onlineStoreUrl: `lmdb:${folder}/online`, eventLogUrl: `log:${folder}/log`, dataRoot: folder },
    ["--feast-http-port", String(port)],
  );
  onTestFinished(async () => {
    await service.stop();
  });
  const repository = toJson(FeatureRepositorySchema, arrivalsRepository()) as { featureServices: unknown[] };
  repository.featureServices.push({
    name: "airports_v1",
    features: ["airport_latest.delay", "airport_delays.mean_delay_1h", "airport_delays.arrivals_24h"],
  });
  await service.client.apply({ repository: fromJson(FeatureRepositorySchema, repository as never) });
  const script = join(import.meta.dirname, "remote_store.py");
  const { stdout } = await promisify(execFile)(python, [script, folder, `http://127.0.0.1:${port}`], {
    timeout: 120_000,
  });
  expect(stdout.trim().split("\n").at(-1)).toBe("ok");
});
