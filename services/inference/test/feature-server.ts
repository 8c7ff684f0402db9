import { create } from "@bufbuild/protobuf";
import { FeatureStatus, ValueType } from "@millrace/contracts/millrace/feature/v1/column";
import { FeatureService, type GetFeaturesRequest } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import { type GrpcServer, implement, startGrpcServer } from "@millrace/grpc";

/** A feature server that says what a test tells it to, over a real socket: what feature-serving answers is its own test. */
export interface FeatureServer {
  readonly address: string;
  /** Requests that came. */
  readonly requests: GetFeaturesRequest[];
  /** Types of `airport__delay` and `airport__name` as they are served. */
  types: { delay: ValueType; name: ValueType };
  /** Versions that are kept beside the one in force, which is v1. */
  keptVersions: string[];
  /** What GetFeatures does before it answers. */
  before: () => Promise<void>;
  close(): Promise<void>;
}

/**
 * Serves the feature service `flights`: `airport__delay` is ten times the number of letters in the airport's name, not
 * found for an airport without letters, and too old for one that begins with `old`; `airport__name` is the name.
 */
export const startFeatureServer = async (port = 0): Promise<FeatureServer> => {
  const requests: GetFeaturesRequest[] = [];
  const state = {
    requests,
    types: { delay: ValueType.DOUBLE as ValueType, name: ValueType.STRING as ValueType },
    keptVersions: [] as string[],
    before: async () => {},
  };
  const refuseUnkept = (version: string): void => {
    if (["", "v1", ...state.keptVersions].includes(version)) return;
    throw new MillraceError("NOT_FOUND", Reason.FEATURE_SERVICE_UNKNOWN, `The version ${version} is not kept.`, {
      violations: [{ field: "feature_service_version", expected: "one of v1", got: version }],
    });
  };
  const service = implement(FeatureService, {
    getFeatureService: async ({ name, version }) => {
      refuseUnkept(version);
      if (name !== "flights") {
        throw new MillraceError("NOT_FOUND", Reason.FEATURE_SERVICE_UNKNOWN, `No feature service ${name} is applied.`);
      }
      return {
        featureService: {
          name,
          version: "v1",
          schemaHash: `hash of ${state.types.delay} ${state.types.name}`,
          features: [
            { name: "airport__delay", type: state.types.delay },
            { name: "airport__name", type: state.types.name },
          ],
          requestFields: [{ name: "distance", type: ValueType.DOUBLE }],
        },
      };
    },
    getFeatures: async (request) => {
      requests.push(create(FeatureService.method.getFeatures.input, request));
      refuseUnkept(request.featureServiceVersion);
      await state.before();
      const column = request.entities.find(({ name }) => name === "airport");
      const held = column?.values?.values;
      if (held?.case !== "strings") {
        throw new MillraceError("INVALID_ARGUMENT", Reason.COLUMN_INVALID, "entities: expected airport, got none.", {
          violations: [{ field: "entities", expected: "airport", got: "none" }],
        });
      }
      const names = held.value.values;
      const statuses = Uint8Array.from(names, (name) =>
        name === "" ? FeatureStatus.NOT_FOUND : FeatureStatus.PRESENT,
      );
      const delayStatuses = statuses.map((status, row) =>
        names[row]?.startsWith("old") ? FeatureStatus.OUTSIDE_MAX_AGE : status,
      );
      const delays = names.map((name, row) => (delayStatuses[row] === FeatureStatus.PRESENT ? name.length * 10 : 0));
      return {
        features: [
          {
            name: "airport__delay",
            values: { values: { case: "doubles", value: { values: delays } } },
            statuses: delayStatuses,
            eventTimesUs: names.map((name) => (name === "" ? 0n : 1_000_000n)),
          },
          {
            name: "airport__name",
            values: { values: { case: "strings", value: { values: names } } },
            statuses,
            eventTimesUs: names.map((name) => (name === "" ? 0n : 1_000_000n)),
          },
        ],
        asOf: "as-of-1",
        featureServiceVersion: request.featureServiceVersion || "v1",
      };
    },
  });
  const server: GrpcServer = await startGrpcServer({ services: [service], host: "127.0.0.1", port });
  return Object.assign(state, {
    address: server.address,
    close: async () => {
      await server.drain({ limitMs: 1000 });
    },
  });
};
