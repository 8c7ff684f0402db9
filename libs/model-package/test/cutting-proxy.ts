import { connect, createServer, type Socket } from "node:net";

/** A network between a client and a server that breaks. */
export interface CuttingProxy {
  readonly host: string;
  /** The next connection that has carried this many bytes in a direction is cut. */
  cutAfter(direction: "up" | "down", bytes: number): void;
  /** Connections cut so far. */
  readonly cuts: number;
  close(): Promise<void>;
}

export const startCuttingProxy = async (target: string): Promise<CuttingProxy> => {
  const sockets = new Set<Socket>();
  let armed: { direction: "up" | "down"; bytes: number } | undefined;
  let cuts = 0;
  const server = createServer((client) => {
    const [hostname = "", port = ""] = target.split(":");
    const upstream = connect(Number(port), hostname);
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    const carry = (from: Socket, to: Socket, direction: "up" | "down") => {
      let carried = 0;
      sockets.add(from);
      from.on("close", () => sockets.delete(from));
      from.on("error", cut);
      from.on("end", () => to.end());
      from.on("data", (chunk) => {
        carried += chunk.byteLength;
        if (armed?.direction === direction && carried >= armed.bytes) {
          armed = undefined;
          cuts += 1;
          from.removeAllListeners("data");
          to.write(chunk.subarray(0, chunk.byteLength - 1), cut);
        } else {
          to.write(chunk);
        }
      });
    };
    carry(client, upstream, "up");
    carry(upstream, client, "down");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    host: `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    cutAfter: (direction, bytes) => {
      armed = { direction, bytes };
    },
    get cuts() {
      return cuts;
    },
    close: async () => {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
