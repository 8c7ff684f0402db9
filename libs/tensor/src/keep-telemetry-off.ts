/**
 * Has onnxruntime send nothing to its maker. From 1.30 on, its builds for Linux keep a database of usage data below the
 * home directory, and send it over HTTPS, unless the environment says otherwise before the first session is made.
 *
 * To be called on the main thread: the environment of a worker thread is a copy, which native code does not see. Whoever
 * sets ORT_DISABLE_TELEMETRY decides instead.
 */
export const keepTelemetryOff = (): void => {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
};
