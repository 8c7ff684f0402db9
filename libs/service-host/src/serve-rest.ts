import { RestServer, type RestServerOptions } from "@millrace/rest";
import type { HostConfig } from "./host-settings.ts";
import { registerRestMetrics } from "./rest-metrics.ts";
import { serverSecurity } from "./security-settings.ts";
import type { ServiceHost } from "./service-host.ts";

/** What a service says of its REST form. */
export interface RestForm extends Pick<RestServerOptions, "routes" | "errorBody" | "maxInFlightBytes"> {
  readonly port: number | "off";
  /** Of its metrics: `millrace_inference`. */
  readonly metricPrefix: string;
}

/**
 * Serves a REST form beside gRPC, with the same host, TLS files, tokens and largest request, until the service stops.
 * @throws CannotListenError
 */
export const serveRest = async (host: ServiceHost, config: HostConfig, form: RestForm): Promise<void> => {
  const { port, metricPrefix, ...options } = form;
  if (port === "off") return;
  const { traces } = host;
  const observe = registerRestMetrics(host.metrics, metricPrefix);
  const rest = host.own(
    await RestServer.listen({
      ...serverSecurity(config),
      ...options,
      host: config.grpcHost,
      port,
      maxReceiveBytes: config.maxReceiveBytes,
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
