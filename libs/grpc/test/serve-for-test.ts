import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { onTestFinished } from "vitest";
import {
  type Channel,
  type ChannelOptions,
  type Client,
  createClient,
  type GrpcServer,
  type GrpcServerOptions,
  type Handlers,
  implement,
  openChannel,
  startGrpcServer,
} from "../src/index.ts";

/** A server on a free port with these handlers, a channel and a client; all are closed when the test ends. */
export const serveForTest = async (
  handlers: Partial<Handlers<typeof GRPCInferenceService>>,
  options: Partial<GrpcServerOptions> = {},
  channelOptions: ChannelOptions = {},
): Promise<{ server: GrpcServer; channel: Channel; client: Client<typeof GRPCInferenceService> }> => {
  const server = await startGrpcServer({ services: [implement(GRPCInferenceService, handlers)], ...options });
  onTestFinished(() => server.close());
  const channel = openChannel(server.address, { ownConnection: true, ...channelOptions });
  onTestFinished(() => channel.close());
  return { server, channel, client: createClient(GRPCInferenceService, channel) };
};
