import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openModelStore } from "@millrace/model-package";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scaleModel } from "./models.ts";
import { scalePackage } from "./packages.ts";
import { type RunningInference, startInference } from "./start-inference.ts";
import { floatRequest, floats } from "./tensors.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-control-"));
afterAll(() => rmSync(folder, { recursive: true }));

const answer = async (service: RunningInference, model: string, version = ""): Promise<number | undefined> =>
  floats(await service.oip.modelInfer({ ...floatRequest(model, [1], [1, 1]), modelVersion: version }))[0];

const eventually = async (holds: () => Promise<boolean>): Promise<void> => {
  while (!(await holds().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 20));
};

describe("a folder that is polled", () => {
  const models = join(folder, "polled");
  const file = (name: string, version: string) => join(models, name, version, "model.onnx");
  const write = (name: string, version: string, factor: number) => {
    mkdirSync(join(models, name, version), { recursive: true });
    writeFileSync(file(name, version), scaleModel(factor));
  };
  const push = async (factor: number) => {
    const store = await openModelStore(`oci:${models}`);
    await store.push("packed", scalePackage(factor), ["production"]);
    await store.close();
  };
  let service: RunningInference;

  beforeAll(async () => {
    write("steady", "1", 1);
    write("changing", "1", 1);
    writeFileSync(join(models, "changing", "config.pbtxt"), "version_policy { latest { num_versions: 2 } }");
    writeFileSync(join(models, "leaving.onnx"), scaleModel(1));
    write("labelled", "1", 1);
    writeFileSync(
      join(models, "labelled", "config.pbtxt"),
      'max_batch_size: 2 output { name: "y" data_type: TYPE_FP32 dims: 1 label_filename: "names.txt" }',
    );
    writeFileSync(join(models, "labelled", "names.txt"), "old\n");
    await push(2);
    service = await startInference(["--models", models, "--model-control-mode", "poll", "--repository-poll-ms", "50"]);
  }, 60_000);
  afterAll(async () => {
    await service.stop();
  });

  test("is followed without a failed request", async () => {
    const seen = new Set<number | undefined>();
    let calls = 0;
    let over = false;
    const caller = async () => {
      for (; !over; calls++) seen.add(await answer(service, "changing"));
    };
    const callers = [caller(), caller()];
    await eventually(async () => calls > 20);
    write("changing", "2", 2);
    await eventually(async () => seen.has(2));
    expect(await answer(service, "changing", "1")).toBe(1);
    write("changing", "2", 22);
    await eventually(async () => seen.has(22));
    write("changing", "3", 3);
    await eventually(async () => seen.has(3));
    await eventually(async () => (await service.oip.modelMetadata({ name: "changing" })).versions.join() === "2,3");
    rmSync(join(models, "changing", "3"), { recursive: true });
    const before = calls;
    await eventually(async () => (await service.oip.modelMetadata({ name: "changing" })).versions.join() === "1,2");
    await eventually(async () => calls > before + 20);
    over = true;
    // A caller that failed rejects here.
    await Promise.all(callers);
    expect(seen).toEqual(new Set([1, 2, 22, 3]));
  }, 60_000);

  test("does not load versions anew that have not changed", async () => {
    const loads = () => service.log.filter(({ msg }) => String(msg).startsWith("Serves steady")).length;
    const before = loads();
    writeFileSync(join(models, "another.onnx"), scaleModel(7));
    await eventually(async () => (await answer(service, "another")) === 7);
    expect(loads()).toBe(before);
  }, 30_000);

  test("loads a file that is being copied only when it is whole", async () => {
    const whole = scaleModel(5);
    const path = join(models, "copied.onnx");
    const failures = () => service.log.filter(({ model }) => model === "copied").length;
    for (let bytes = 10; bytes < whole.length; bytes += 10) {
      writeFileSync(path, whole.subarray(0, bytes));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const unseen = failures();
    writeFileSync(path, whole);
    await eventually(async () => (await answer(service, "copied")) === 5);
    expect(unseen).toBe(0);
  }, 30_000);

  test("is followed in the tags of its packages, and in its labels", async () => {
    expect(await answer(service, "packed")).toBe(2);
    await push(8);
    await eventually(async () => (await answer(service, "packed")) === 8);
    const name = async () => {
      const classification = { parameterChoice: { case: "int64Param" as const, value: 1n } };
      const outputs = [{ name: "y", parameters: { classification } }];
      const response = await service.oip.modelInfer({ ...floatRequest("labelled", [1], [1, 1]), outputs });
      return Buffer.from(response.rawOutputContents[0] ?? [])
        .toString()
        .split(":")
        .at(-1);
    };
    expect(await name()).toBe("old");
    writeFileSync(join(models, "labelled", "names.txt"), "new\n");
    await eventually(async () => (await name()) === "new");
  }, 30_000);

  test("keeps what serves where the new file does not, and says why", async () => {
    writeFileSync(file("steady", "1"), "no model");
    const failed = async () =>
      (await service.oip.repositoryIndex({})).models.find(({ name, state }) => name === "steady" && state !== "READY");
    await eventually(async () => (await failed())?.state === "UNAVAILABLE");
    expect(await failed()).toMatchObject({ version: "1", reason: expect.stringMatching(/cannot be loaded/) });
    expect(await answer(service, "steady")).toBe(1);
    write("steady", "1", 6);
    await eventually(async () => (await answer(service, "steady")) === 6);
    expect(await failed()).toBeUndefined();
  }, 30_000);

  test("unloads what leaves it", async () => {
    expect(await answer(service, "leaving")).toBe(1);
    rmSync(join(models, "leaving.onnx"));
    await eventually(async () => (await answer(service, "leaving").catch(({ code }) => code)) === "NOT_FOUND");
  }, 30_000);

  test("refuses loads and unloads by call", async () => {
    const refusal = { code: "UNAVAILABLE", message: expect.stringMatching(/modelControlMode poll/) };
    await expect(service.oip.repositoryModelLoad({ modelName: "steady" })).rejects.toMatchObject(refusal);
    await expect(service.oip.repositoryModelUnload({ modelName: "steady" })).rejects.toMatchObject(refusal);
  });

  test("may be away for a while: what serves goes on", async () => {
    renameSync(models, `${models}-away`);
    await eventually(async () => service.log.some(({ msg }) => String(msg).includes("cannot be read; what is served")));
    expect(await answer(service, "steady")).toBe(6);
    renameSync(`${models}-away`, models);
    write("late", "1", 9);
    await eventually(async () => (await answer(service, "late")) === 9);
    expect(await answer(service, "steady")).toBe(6);
  }, 30_000);
});

describe("a folder whose models are loaded by call", () => {
  const models = join(folder, "explicit");
  let service: RunningInference;

  beforeAll(async () => {
    mkdirSync(models);
    for (const [index, name] of ["first", "second", "third"].entries()) {
      writeFileSync(join(models, `${name}.onnx`), scaleModel(index + 1));
    }
    const flags = ["--model-control-mode", "explicit", "--load-model", "first,third"];
    service = await startInference(["--models", models, ...flags]);
  }, 60_000);
  afterAll(async () => {
    await service.stop();
  });

  test("has those at the start that are named, and lists the others by name", async () => {
    expect(await answer(service, "first")).toBe(1);
    expect(await answer(service, "third")).toBe(3);
    await expect(answer(service, "second")).rejects.toMatchObject({ code: "NOT_FOUND" });
    const { models: all } = await service.oip.repositoryIndex({});
    expect(all.map(({ name, version, state }) => [name, version, state])).toEqual([
      ["first", "1", "READY"],
      ["third", "1", "READY"],
      ["second", "", ""],
    ]);
    const { models: ready } = await service.oip.repositoryIndex({ ready: true });
    expect(ready.map(({ name }) => name)).toEqual(["first", "third"]);
  });

  test("has the others when a call loads them", async () => {
    await service.oip.repositoryModelLoad({ modelName: "second" });
    expect(await answer(service, "second")).toBe(2);
    await expect(service.oip.repositoryModelLoad({ modelName: "fourth" })).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringMatching(/no model fourth/),
    });
  });

  test("does not start where a model that is named is not there", async () => {
    const flags = ["--models", models, "--model-control-mode", "explicit", "--load-model", "first,nobody"];
    await expect(startInference(flags)).rejects.toThrow(/no model nobody/);
  }, 30_000);
});
