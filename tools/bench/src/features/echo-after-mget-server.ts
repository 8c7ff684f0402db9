import { Server, ServerCredentials } from "@grpc/grpc-js";
import { Redis } from "ioredis";

/*
 * The floor of reading features: a grpc-js server that makes one MGET for a call and gives back a fixed answer. Run as a
 * process of its own: `node src/echo-after-mget-server.ts PORT ANSWER_BYTES REDIS_URL KEYS VALUE_BYTES`.
 */
const [port, answerBytes, redisUrl, keys, valueBytes] = process.argv.slice(2);
if (redisUrl === undefined)
  throw new Error("usage: echo-after-mget-server.ts PORT ANSWER_BYTES REDIS_URL KEYS VALUE_BYTES");
const redis = new Redis(redisUrl, { keyPrefix: "floor:" });
const names = Array.from({ length: Number(keys) }, (_, index) => String(index));
await redis.mset(Object.fromEntries(names.map((name) => [name, Buffer.alloc(Number(valueBytes), 1)])));
const answer = Buffer.alloc(Number(answerBytes));
const identity = (bytes: Buffer): Buffer => bytes;
const server = new Server({ "grpc.enable_channelz": 0 });
server.addService(
  {
    Unary: {
      path: "/echo.Echo/Unary",
      requestStream: false,
      responseStream: false,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    },
  },
  {
    Unary: (_call: unknown, callback: (error: Error | null, answer?: Buffer) => void) => {
      redis.mgetBuffer(names).then(
        () => callback(null, answer),
        (error: Error) => callback(error),
      );
    },
  },
);
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log("listening");
});
process.on("SIGTERM", () => {
  server.forceShutdown();
  redis.disconnect();
});
