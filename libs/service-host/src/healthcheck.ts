import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { type ClientTls, createClient, openChannel } from "@millrace/grpc";

/**
 * Asks a service on this machine for its health, as `main.ts healthcheck` does for images and compose files.
 * @returns undefined where it serves, else a sentence that says why not.
 */
export const healthcheck = async (target: {
  readonly host: string;
  readonly port: number;
  readonly tls: ClientTls | undefined;
}): Promise<string | undefined> => {
  // An address that means "all of them" is no address to call.
  const host = target.host === "0.0.0.0" || target.host === "::" ? "127.0.0.1" : target.host;
  const address = `${host.includes(":") ? `[${host}]` : host}:${target.port}`;
  const channel = openChannel(address, { tls: target.tls });
  try {
    const { status } = await createClient(Health, channel).check({ service: "" }, { timeoutMs: 3000 });
    return status === HealthCheckResponse_ServingStatus.SERVING ? undefined : `${address} is not serving.`;
  } catch (error) {
    return `${address} did not answer: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    channel.close();
  }
};
