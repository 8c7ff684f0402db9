import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from "@duckdb/node-api";
import { EngineFailedError } from "./engine-failed-error.ts";

export interface DuckDbOptions {
  /** Threads of one training set. Default 2. */
  readonly threads?: number;
  /** Memory that DuckDB may use before it writes to `tempFolder`, such as `2GB`. Default 2GB. */
  readonly memoryLimit?: string;
  /** Below it, what does not fit into memory is kept as long as the session. Default: the system's temporary folder. */
  readonly tempFolder?: string;
  /** Ends what the session waits for beside DuckDB: copies of SQL sources. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What DuckDB must not do with expressions. The first takes a part that stands twice in a TRY out of it, where a failure
 * fails the query; the second makes `x = 1` of `x + 1 = 2`, which cannot overflow any more.
 */
export const disabledOptimizers = "common_subexpressions,expression_rewriter";

/** One DuckDB in memory with one connection. Whoever opens it closes it. */
export class DuckDbSession {
  readonly connection: DuckDBConnection;
  /** For files that are needed as long as the session; it goes with it, and nobody else may read it. */
  readonly folder: string;
  readonly signal: AbortSignal | undefined;
  readonly #instance: DuckDBInstance;

  private constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    folder: string,
    signal: AbortSignal | undefined,
  ) {
    this.#instance = instance;
    this.connection = connection;
    this.folder = folder;
    this.signal = signal;
  }

  /** @throws EngineFailedError if DuckDB refuses the options. */
  static async open(options: DuckDbOptions = {}): Promise<DuckDbSession> {
    const folder = join(options.tempFolder ?? tmpdir(), `millrace-duckdb-${randomUUID()}`);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const instance = await DuckDBInstance.create(":memory:", {
        threads: String(options.threads ?? 2),
        memory_limit: options.memoryLimit ?? "2GB",
        temp_directory: folder,
        autoinstall_known_extensions: "false",
        autoload_known_extensions: "false",
        preserve_insertion_order: "true",
      });
      const connection = await instance.connect();
      await connection.run("SET TimeZone = 'UTC'");
      await connection.run(`SET disabled_optimizers = '${disabledOptimizers}'`);
      await connection.run("SET lock_configuration = true");
      return new DuckDbSession(instance, connection, folder, options.signal);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw new EngineFailedError("DuckDB could not be started with these options.", error);
    }
  }

  /** All rows of a query, as plain values; for small answers. */
  async rows(sql: string): Promise<DuckDBValue[][]> {
    return (await this.connection.run(sql)).getRows();
  }

  close(): void {
    this.connection.closeSync();
    this.#instance.closeSync();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
