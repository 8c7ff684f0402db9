/** A real server on a loopback port of its own, with its data in a temporary folder. */
export interface BackingServer {
  /** Opens an adapter: `redis://127.0.0.1:…`, `kafka://127.0.0.1:…`. */
  readonly url: string;
  readonly port: number;
  /** Starts again on the same port and data, after stop or kill. */
  start(): Promise<void>;
  /** Ends at once, as a crash would; the data stays. */
  kill(): Promise<void>;
  /** Stops; a temporary folder is removed by `remove`. */
  stop(): Promise<void>;
  /** Stops for good, and removes the data where the folder is temporary. */
  remove(): Promise<void>;
}

export interface BackingOptions {
  /** Where the data lies. Default: a temporary folder that `remove` deletes. */
  readonly folder?: string;
  readonly port?: number;
}
