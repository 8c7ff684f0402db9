import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type GetRepositoryResponse,
  GetRepositoryResponseSchema,
} from "@millrace/contracts/millrace/feature/v1/feature_service";
import { MillraceError, Reason } from "@millrace/errors";
import type { Kv } from "@millrace/kv";

/** Thrown by Apply when somebody else applied definitions in the meantime. */
export class RegistryConflictError extends MillraceError {
  constructor(expected: number, found: number) {
    super(
      "ABORTED",
      Reason.CONFLICT,
      `The registry has version ${found}, not ${expected}: somebody else applied definitions in the meantime. Plan again.`,
      { metadata: { expectedRegistryVersion: String(expected), registryVersion: String(found) } },
    );
  }
}

const registryKey = new TextEncoder().encode("registry/definitions");

/** The applied definitions, as one entry of the store that is replaced by compare-and-set. Its version is the entry's. */
export class Registry {
  readonly #kv: Kv;

  constructor(kv: Kv) {
    this.#kv = kv;
  }

  /** What is applied; undefined before the first Apply. */
  async read(): Promise<GetRepositoryResponse | undefined> {
    const [entry] = await this.#kv.getManyVersioned([registryKey]);
    if (entry === undefined) return undefined;
    const applied = fromBinary(GetRepositoryResponseSchema, entry.value);
    applied.registryVersion = BigInt(entry.version);
    return applied;
  }

  /**
   * Replaces what is applied. @returns the new version.
   * @throws RegistryConflictError where the registry no longer has the expected version.
   */
  async write(applied: GetRepositoryResponse, expectedVersion: number): Promise<number> {
    const value = toBinary(GetRepositoryResponseSchema, create(GetRepositoryResponseSchema, applied));
    const [isApplied] = await this.#kv.compareAndSetMany([{ key: registryKey, expectedVersion, value }]);
    const [entry] = await this.#kv.getManyVersioned([registryKey]);
    if (isApplied !== true) throw new RegistryConflictError(expectedVersion, entry?.version ?? 0);
    return expectedVersion + 1;
  }
}
