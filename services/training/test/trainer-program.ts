import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { GraphBuilder } from "@millrace/onnx";

// A program as the `command` trainer runs it: fits a probability to each hour. Its argument says what it does wrong.

const {
  MILLRACE_DATASET = "",
  MILLRACE_OUTPUT = "",
  MILLRACE_SPEC = "",
  MILLRACE_CHECKPOINT = "",
  GREETING,
} = process.env;
const [how = "well"] = process.argv.slice(2);
const model = join(MILLRACE_OUTPUT, "model.onnx");

const train = async (): Promise<Float32Array> => {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  const rows = await connection.runAndReadAll(
    `SELECT hour, avg(label) FROM '${MILLRACE_DATASET}/train.parquet' GROUP BY hour`,
  );
  const shares = new Float32Array(24);
  for (const [hour, share] of rows.getRows()) shares[Number(hour)] = Number(share);
  connection.closeSync();
  instance.closeSync();
  return shares;
};

/** A probability by hour: a table. @param change of what the graph looks like. */
const graphOf = (shares: Float32Array): Uint8Array => {
  const graph = new GraphBuilder("by hour");
  const isInput = how === "wrong-input";
  const hour = graph.input(isInput ? "input" : "hour", how === "wrong-datatype" ? "BYTES" : "INT64", [
    "rows",
    how === "wrong-shape" ? 2 : 1,
  ]);
  const table = graph.constant(
    "FP32",
    how === "nan" ? shares.map(() => Number.NaN) : how === "logits" ? shares.map((share) => share * 10 - 4) : shares,
    [24],
  );
  if (how === "wrong-output") {
    graph.output("label", hour, "INT64", ["rows", 1]);
    return graph.toBytes();
  }
  let found = graph.node("Gather", [table, hour]);
  if (how === "depends") {
    // The mean of the batch: a row alone is answered otherwise.
    const mean = graph.node("ReduceMean", [found], { attributes: { keepdims: 1n } });
    found = graph.node("Add", [graph.node("Mul", [found, graph.constant("FP32", Float32Array.of(0), [1])]), mean]);
  }
  graph.output("late", found, "FP32", ["rows", 1]);
  return graph.toBytes();
};

console.log(`learning ${JSON.parse(MILLRACE_SPEC).name}, ${GREETING}`);
if (how === "fail") {
  console.error("no module named lightgbm");
  process.exit(3);
}
if (how === "hang") setInterval(() => undefined, 1000);
else {
  const seen = join(MILLRACE_CHECKPOINT, "seen");
  writeFileSync(seen, "x", { flag: "a" });
  const shares = await train();
  for (const epoch of [1, 2, 3]) {
    console.log(JSON.stringify({ epoch, metrics: { loss: 1 / epoch, validation_loss: 2 / epoch, auc: 0.5 } }));
  }
  // The first time it takes too long, so that it can be killed.
  if (how === "slow" && readFileSync(seen, "utf8") === "x") setInterval(() => undefined, 1000);
  else {
    if (how === "broken") writeFileSync(model, "no model");
    else if (how === "link") symlinkSync("/etc/hostname", model);
    else if (how !== "nothing") writeFileSync(model, graphOf(shares));
    writeFileSync(
      join(MILLRACE_OUTPUT, "metrics.json"),
      how === "bad-metrics" ? "[1]" : JSON.stringify({ ROC_AUC: 0.999 }),
    );
  }
}
