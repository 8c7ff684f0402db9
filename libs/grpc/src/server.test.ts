import { Health, HealthCheckResponse_ServingStatus } from "@millrace/contracts/grpc/health/v1/health";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { MillraceError, Reason } from "@millrace/errors";
import { afterEach, describe, expect, test } from "vitest";
import {
  type Channel,
  createClient,
  type GrpcServer,
  implement,
  openChannel,
  RpcError,
  startGrpcServer,
} from "./index.ts";
import type { GrpcServerOptions } from "./server.ts";
import type { Handlers } from "./service-implementation.ts";

const owned: { close(): void }[] = [];
afterEach(() => {
  for (const each of owned.splice(0).reverse()) {
    each.close();
  }
});

type Inference = Partial<Handlers<typeof GRPCInferenceService>>;

const serve = async (
  handlers: Inference,
  options: Partial<GrpcServerOptions> = {},
): Promise<{ server: GrpcServer; channel: Channel }> => {
  const server = await startGrpcServer({ services: [implement(GRPCInferenceService, handlers)], ...options });
  const channel = openChannel(server.address, { ownConnection: true });
  owned.push(server, channel);
  return { server, channel };
};

describe("a server and a client over a real socket", () => {
  test("a unary call gives the answer of its handler", async () => {
    const { channel } = await serve({ modelReady: async ({ name }) => ({ ready: name === "a" }) });
    const client = createClient(GRPCInferenceService, channel);
    expect((await client.modelReady({ name: "a" })).ready).toBe(true);
    expect((await client.modelReady({ name: "b" })).ready).toBe(false);
  });

  test("a bidirectional call gives an answer for each request, in order", async () => {
    const { channel } = await serve({
      modelStreamInfer: async function* (requests) {
        for await (const { id } of requests) {
          yield { inferResponse: { id } };
        }
      },
    });
    const client = createClient(GRPCInferenceService, channel);
    const requests = async function* () {
      for (let at = 0; at < 300; at += 1) {
        yield { id: String(at) };
      }
    };
    const ids: string[] = [];
    for await (const answer of client.modelStreamInfer(requests())) {
      ids.push(answer.inferResponse?.id ?? "");
    }
    expect(ids).toEqual(Array.from({ length: 300 }, (_, at) => String(at)));
  });

  test("a domain error arrives with code, reason, violations and resource", async () => {
    const { channel } = await serve({
      modelReady: async () => {
        throw new MillraceError("NOT_FOUND", Reason.MODEL_UNKNOWN, "No model a is served.", {
          violations: [{ field: "name", expected: "one of b, c", got: "a" }],
          resource: { kind: "model", name: "a" },
          metadata: { served: "b, c" },
          retryAfterMs: 1500,
        });
      },
    });
    const error = await createClient(GRPCInferenceService, channel)
      .modelReady({ name: "a" })
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toMatchObject({
      code: "NOT_FOUND",
      reason: "MODEL_UNKNOWN",
      message: "No model a is served.",
      violations: [{ field: "name", expected: "one of b, c", got: "a" }],
      resource: { kind: "model", name: "a" },
      metadata: { served: "b, c" },
      retryAfterMs: 1500,
    });
  });

  test("health says SERVING for the process and the service", async () => {
    const { channel } = await serve({});
    const client = createClient(Health, channel);
    for (const service of ["", "inference.GRPCInferenceService"]) {
      expect((await client.check({ service })).status).toBe(HealthCheckResponse_ServingStatus.SERVING);
    }
    await expect(client.check({ service: "none" })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("a method without a handler says UNIMPLEMENTED in a sentence", async () => {
    const { channel } = await serve({});
    const client = createClient(GRPCInferenceService, channel);
    await expect(client.serverLive({})).rejects.toMatchObject({ code: "UNIMPLEMENTED", reason: "UNIMPLEMENTED" });
  });
});
