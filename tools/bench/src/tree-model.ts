import { GraphBuilder } from "@millrace/onnx";

/**
 * Boosted regression trees as ONNX, as LightGBM's and XGBoost's converters write them: `x` [batch, features] to `y`
 * [batch, 1], the sum of all trees. Features and thresholds are fixed, and every tree is full.
 * @param depth comparisons on the way from a root to a leaf.
 */
export const treeModel = (features: number, trees: number, depth: number): Uint8Array => {
  const inner = 2 ** depth - 1;
  const nodes = 2 * inner + 1;
  const treeIds: bigint[] = [];
  const nodeIds: bigint[] = [];
  const featureIds: bigint[] = [];
  const modes: string[] = [];
  const thresholds: number[] = [];
  const whenTrue: bigint[] = [];
  const whenFalse: bigint[] = [];
  const leafTrees: bigint[] = [];
  const leafNodes: bigint[] = [];
  const leafTargets: bigint[] = [];
  const leafWeights: number[] = [];
  for (let tree = 0; tree < trees; tree++) {
    // The children of node n of a full tree are 2n + 1 and 2n + 2.
    for (let node = 0; node < nodes; node++) {
      const isLeaf = node >= inner;
      treeIds.push(BigInt(tree));
      nodeIds.push(BigInt(node));
      featureIds.push(isLeaf ? 0n : BigInt((tree * 7 + node * 13) % features));
      modes.push(isLeaf ? "LEAF" : "BRANCH_LEQ");
      thresholds.push(isLeaf ? 0 : Math.sin(tree + node * 0.7));
      whenTrue.push(isLeaf ? 0n : BigInt(2 * node + 1));
      whenFalse.push(isLeaf ? 0n : BigInt(2 * node + 2));
      if (!isLeaf) continue;
      leafTrees.push(BigInt(tree));
      leafNodes.push(BigInt(node));
      leafTargets.push(0n);
      leafWeights.push(Math.cos(tree * 3 + node) / trees);
    }
  }
  const graph = new GraphBuilder("trees");
  const x = graph.input("x", "FP32", ["batch", features]);
  const y = graph.node("TreeEnsembleRegressor", [x], {
    domain: "ai.onnx.ml",
    attributes: {
      nodes_treeids: treeIds,
      nodes_nodeids: nodeIds,
      nodes_featureids: featureIds,
      nodes_modes: modes,
      nodes_values: thresholds,
      nodes_truenodeids: whenTrue,
      nodes_falsenodeids: whenFalse,
      target_treeids: leafTrees,
      target_nodeids: leafNodes,
      target_ids: leafTargets,
      target_weights: leafWeights,
      n_targets: 1n,
      aggregate_function: "SUM",
      post_transform: "NONE",
    },
  });
  graph.output("y", y, "FP32", ["batch", 1]);
  return graph.toBytes();
};
