/**
 * Runs `build` while the global Float16Array is hidden.
 *
 * onnxruntime-common builds its table of array types when the first tensor is made. Where Float16Array exists (Node 24)
 * the table asks for it, and the native binding of onnxruntime-node 1.30, which does not know it, reads zero bytes. While
 * it is hidden the table takes Uint16Array, which the binding reads well. The test beside this file fails on the day
 * that this is no longer needed.
 */
export const hideFloat16Array = (build: () => void): void => {
  const hidden = Object.getOwnPropertyDescriptor(globalThis, "Float16Array");
  if (hidden === undefined) {
    build();
    return;
  }
  Reflect.deleteProperty(globalThis, "Float16Array");
  try {
    build();
  } finally {
    Object.defineProperty(globalThis, "Float16Array", hidden);
  }
};
