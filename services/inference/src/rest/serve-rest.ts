import { type HostConfig, type ServiceHost, serverSecurity } from "@millrace/service-host";
import type { OpenInferenceCalls } from "../open-inference-service.ts";
import type { TensorInference } from "../rpc/model-infer.ts";
import { registerRestMetrics } from "./rest-metrics.ts";
import { restRoutes } from "./rest-routes.ts";
import { RestServer } from "./rest-server.ts";

/** Serves the protocol's REST form beside gRPC, with the same host, TLS files, tokens and largest request. */
export const serveRest = async (
  host: ServiceHost,
  config: HostConfig & { readonly restPort: number | "off"; readonly maxInFlightBytes: number },
  calls: OpenInferenceCalls,
  inference: TensorInference,
): Promise<void> => {
  const { restPort: port, grpcHost, maxReceiveBytes, maxInFlightBytes } = config;
  if (port === "off") return;
  const { traces } = host;
  const observe = registerRestMetrics(host.metrics);
  const rest = host.own(
    await RestServer.listen({
      ...serverSecurity(config),
      host: grpcHost,
      port,
      maxReceiveBytes,
      maxInFlightBytes,
      routes: restRoutes(calls, inference),
      sampleTrace: traces?.sample,
      onAnswered: (answered, seconds) => {
        observe(answered, seconds);
        traces?.handledHttp(answered.method, answered.route, answered.call, answered.status, seconds);
      },
      onFailure: (err, method, traceId) =>
        host.log.error({ err, method, traceId }, "A request of the REST form failed."),
    }),
  );
  host.start(rest);
  host.log.info({ restAddress: rest.address }, `The REST form listens on ${rest.address}`);
};
