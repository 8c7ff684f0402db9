import type { ServiceImplementation } from "@millrace/grpc";
import { healthcheck } from "./healthcheck.ts";
import { type DefaultPorts, type HostConfig, hostSettings } from "./host-settings.ts";
import { readSettings } from "./read-settings.ts";
import { ownPortTls } from "./security-settings.ts";
import type { ServiceHost } from "./service-host.ts";
import { refuseStart, ServiceProcess } from "./service-process.ts";
import type { Config, Settings } from "./setting.ts";
import { helpText } from "./settings-table.ts";

/** Makes a service of its settings: opens what it needs, hands it to the host, and answers what is served. */
export type BuildService<S extends Settings> = (
  host: ServiceHost,
  config: Config<S> & HostConfig,
) => Promise<readonly ServiceImplementation[]>;

/**
 * Runs one service as the whole of this process, from its settings to its exit.
 *
 * Start: settings are read, the service is built, gRPC listens, and health turns SERVING when all conditions of
 * readiness hold. Stop (SIGTERM, SIGINT, a worker that fails): health NOT_SERVING, `drainDelayMs` for load balancers,
 * the service's drain actions, workers, streams after their current answers, calls up to `drainLimitMs`, everything
 * owned in reverse order, exit 0. A second signal cuts all of it off.
 *
 * @param name as it is logged. @param settings the service's own; a key of the host's settings may be redefined.
 * @param ports the service's default ports.
 */
export const runService = async <S extends Settings>(
  name: string,
  settings: S,
  build: BuildService<S>,
  ports: DefaultPorts = {},
): Promise<void> => {
  const all = { ...hostSettings(ports), ...settings };
  const [first, ...others] = process.argv.slice(2);
  const words = first === undefined ? [] : [first, ...others];
  if (words.includes("--help")) {
    process.stdout.write(helpText(name, all));
    return;
  }
  const asksHealth = first === "healthcheck";
  let config: Config<S> & HostConfig;
  try {
    const source = { environment: process.env, arguments: asksHealth ? others : words };
    config = readSettings(all, source) as unknown as Config<S> & HostConfig;
  } catch (error) {
    refuseStart(name, error);
    return;
  }
  if (asksHealth) {
    await answerHealthcheck(name, config);
    return;
  }
  let service: ServiceProcess;
  try {
    service = new ServiceProcess(name, config);
  } catch (error) {
    refuseStart(name, error);
    return;
  }
  await service.run((host) => build(host, config));
};

const answerHealthcheck = async (name: string, config: HostConfig): Promise<void> => {
  const problem = await healthcheck({ host: config.grpcHost, port: config.grpcPort, tls: ownPortTls(config) });
  if (problem !== undefined) {
    refuseStart(name, problem);
  }
};
