import { readFileSync } from "node:fs";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, openChannel } from "@millrace/grpc";
import { Command, Option } from "commander";

/** The services, and where they listen when nothing else is said. */
export const defaultAddresses = {
  "feature-serving": "127.0.0.1:8011",
  training: "127.0.0.1:8021",
  inference: "127.0.0.1:8001",
  monitoring: "127.0.0.1:8031",
} as const;

export type ServiceName = keyof typeof defaultAddresses;

export interface ConnectionOptions {
  readonly address: string;
  readonly tokenFile?: string;
  readonly tlsCa?: string;
}

/**
 * A command that calls a service, with the options that say how it is reached.
 * @param usage the name, then its arguments: `run <id>`.
 */
export const serviceCommand = (service: ServiceName, usage: string, description: string): Command => {
  const [name = "", ...parameters] = usage.split(" ");
  const command = new Command(name).description(description);
  for (const parameter of parameters) command.argument(parameter);
  return command
    .addOption(
      new Option("--address <host:port>", `where ${service} listens`)
        .default(defaultAddresses[service])
        .env(`MILLRACE_${service.toUpperCase().replace("-", "_")}_ADDRESS`),
    )
    .addOption(new Option("--token-file <file>", "a file with the bearer token").env("MILLRACE_CLIENT_TOKEN_FILE"))
    .addOption(
      new Option("--tls-ca <file>", "certificate authority of the service, PEM; switches TLS on").env(
        "MILLRACE_CLIENT_TLS_CA",
      ),
    );
};

/** Calls a service, and closes the connection whatever happens. */
export const withClient = async <S extends DescService, T>(
  service: S,
  { address, tokenFile, tlsCa }: ConnectionOptions,
  call: (client: Client<S>) => Promise<T>,
): Promise<T> => {
  const channel = openChannel(address, {
    token: tokenFile === undefined ? undefined : readFileSync(tokenFile, "utf8").trim(),
    tls: tlsCa === undefined ? undefined : { caFile: tlsCa },
  });
  try {
    return await call(createClient(service, channel));
  } finally {
    channel.close();
  }
};
