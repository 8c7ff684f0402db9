import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const program = `
  import { identityModel, onnxTypes } from "./test/identity-model.ts";
  import { InferenceSession, Tensor } from "onnxruntime-node";
  const session = await InferenceSession.create(identityModel(onnxTypes.FP16));
  const answer = await session.run({ x: new Tensor("float16", new Float16Array([1, 2]), [1, 2]) }).then(() => "works", String);
  console.log(answer);
`;

test("onnxruntime-node still cannot read Float16Array: when this fails, the shim beside it can go", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: new URL("..", import.meta.url),
    env: { ...process.env, NODE_OPTIONS: "--conditions=@millrace/source" },
  });
  expect(stdout).toContain("not enough space: expected 4, got 0");
});
