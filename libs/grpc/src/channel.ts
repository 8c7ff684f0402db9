import { Client as GrpcClient, type ChannelOptions as GrpcOptions } from "@grpc/grpc-js";
import { RpcError } from "./rpc-error.ts";
import { type ClientTls, channelCredentials } from "./transport-credentials.ts";

export interface ChannelOptions {
  readonly tls?: ClientTls | undefined;
  /** Sent as a bearer token with each call. */
  readonly token?: string | undefined;
  /** Largest answer in bytes; 64 MiB unless given. */
  readonly maxReceiveBytes?: number;
  readonly keepaliveTimeMs?: number;
  readonly keepaliveTimeoutMs?: number;
  /** A connection of its own, where channels of one process would share one. */
  readonly ownConnection?: boolean;
}

/**
 * A way to one service: the address, and connections to every replica behind it, taken in turn (round_robin). It
 * connects with the first call and again after a loss.
 */
export interface Channel {
  readonly address: string;
  /** @throws RpcError (UNAVAILABLE) where no replica can be reached in this time. */
  waitForReady(timeoutMs: number): Promise<void>;
  /** Closes the connections when their open calls have ended. */
  close(): void;
}

/** A channel with what clients need of it. */
export class OpenChannel implements Channel {
  readonly address: string;
  readonly token: string | undefined;
  readonly #credentials: ReturnType<typeof channelCredentials>;
  readonly #options: GrpcOptions;
  readonly #clients: GrpcClient[] = [];
  #closed = false;

  constructor(address: string, options: ChannelOptions) {
    this.address = address;
    this.token = options.token;
    this.#credentials = channelCredentials(options.tls);
    this.#options = {
      "grpc.max_receive_message_length": options.maxReceiveBytes ?? 64 * 1024 * 1024,
      "grpc.max_send_message_length": -1,
      "grpc.keepalive_time_ms": options.keepaliveTimeMs ?? 30_000,
      "grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs ?? 5_000,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 2_000,
      "grpc.dns_min_time_between_resolutions_ms": 5_000,
      "grpc.service_config_disable_resolution": 1,
      "grpc.enable_channelz": 0,
      "grpc.enable_http_proxy": 0,
      ...(options.ownConnection === true ? { "grpc.use_local_subchannel_pool": 1 } : {}),
    };
  }

  /** A client of grpc-js whose methods follow a service config. It shares connections with the channel's others. */
  connect(serviceConfig: object): GrpcClient {
    if (this.#closed) {
      throw new TypeError(`The channel to ${this.address} is closed.`);
    }
    const client = new GrpcClient(this.address, this.#credentials, {
      ...this.#options,
      "grpc.service_config": JSON.stringify(serviceConfig),
    });
    this.#clients.push(client);
    return client;
  }

  waitForReady(timeoutMs: number): Promise<void> {
    const client = this.#clients[0] ?? this.connect({ loadBalancingConfig: [{ round_robin: {} }] });
    return new Promise((resolve, reject) => {
      client.waitForReady(Date.now() + timeoutMs, (error) => {
        if (error === undefined || error === null) {
          resolve();
          return;
        }
        const message = `No connection to ${this.address} within ${timeoutMs} ms.`;
        reject(new RpcError({ code: "UNAVAILABLE", method: "connect", message, cause: error }));
      });
    });
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients) {
      client.close();
    }
  }
}

/**
 * Opens a channel to `host:port`, or to every address behind a name with `dns:///name:port`.
 * @throws CannotListenError where a TLS file does not fit.
 */
export const openChannel = (address: string, options: ChannelOptions = {}): Channel =>
  new OpenChannel(address, options);
