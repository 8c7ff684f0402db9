import { join } from "node:path";

/** Where a run keeps what feature-serving sent: the Arrow stream as it came, and what was said of it. */
export const trainingSetFiles = (runFolder: string) => ({
  /** An Arrow IPC stream; there only once it is whole. */
  arrow: join(runFolder, "training-set.arrow"),
  /** A GetTrainingSetResponse with the summary, as protobuf. */
  summary: join(runFolder, "training-set-summary.binpb"),
  /** The FeatureServiceStatus, as protobuf. */
  featureService: join(runFolder, "feature-service.binpb"),
});

/** Names of the columns of a training set that are no features. They cannot collide with `view__feature`. */
export const trainingSetColumns = {
  eventTime: "millrace_event_time",
  label: "millrace_label",
  labelKnownAt: "millrace_label_known_at",
  weight: "millrace_weight",
  splitKey: "millrace_split_key",
  slice: (name: string): string => `millrace_slice_${name}`,
};
