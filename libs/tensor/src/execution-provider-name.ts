/** Where onnxruntime can run a model, by its own words. */
export const executionProviderNames = ["cpu", "cuda", "tensorrt", "coreml", "dml", "webgpu"] as const;

export type ExecutionProviderName = (typeof executionProviderNames)[number];
