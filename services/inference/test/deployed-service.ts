import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageShape } from "@bufbuild/protobuf";
import {
  type DeploymentStatus,
  VersionStatus_State as State,
  type VersionStatus,
  type WatchStatusResponseSchema,
} from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { type ModelStore, openModelStore, type PackageContent } from "@millrace/model-package";
import { declarationHash } from "../src/deployment/parse-declaration.ts";
import { type RunningInference, startInference } from "./start-inference.ts";

type Status = MessageShape<typeof WatchStatusResponseSchema>;

/** A service that serves what a declaration in a temporary folder says, from a model store beside it. */
export interface DeployedService {
  readonly folder: string;
  readonly file: string;
  readonly store: ModelStore;
  /** The process that runs now. */
  readonly service: RunningInference;
  /** Puts a declaration where the service looks, at once as a ConfigMap does. */
  declare(yaml: string): void;
  /** Pushes a package. @returns its reference by digest. */
  push(repository: string, content: PackageContent, tags?: readonly string[]): Promise<string>;
  /** Waits until the status is as asked, and answers it. */
  awaitStatus(isThere: (status: Status) => boolean): Promise<Status>;
  /** Waits until the declaration that was put there last is in force for a model, and answers that model's status. */
  awaitInForce(model: string): Promise<DeploymentStatus>;
  /** Waits until a version of a package is in a state. @throws where it failed instead. */
  awaitState(reference: string, state: State): Promise<VersionStatus>;
  /** Ends the process with SIGKILL, and starts another on the same files. */
  killAndRestart(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the service with a declaration that is not there yet. @param flags beside those of store and declaration. */
export const startDeployedService = async (
  flags: readonly string[] | ((folder: string) => readonly string[]) = [],
): Promise<DeployedService> => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-deployments-"));
  const file = join(folder, "deployments.yaml");
  const url = `oci:${join(folder, "models")}`;
  const store = await openModelStore(url);
  const start = () =>
    startInference([
      ...["--model-store-url", url, "--deployments-file", file, "--deployments-poll-ms", "50"],
      ...(typeof flags === "function" ? flags(folder) : flags),
    ]);
  let service = await start();
  let declaredHash = "";

  const awaitStatus: DeployedService["awaitStatus"] = async (isThere) => {
    for await (const status of service.deployments.watchStatus({}, { timeoutMs: 30_000 })) {
      if (isThere(status)) return status;
    }
    throw new Error("The watch ended.");
  };
  return {
    folder,
    file,
    store,
    get service() {
      return service;
    },
    declare: (yaml) => {
      declaredHash = declarationHash(yaml);
      writeFileSync(`${file}.new`, yaml);
      renameSync(`${file}.new`, file);
    },
    push: async (repository, content, tags = []) => {
      const { digest } = await store.push(repository, content, tags);
      return `${repository}@${digest}`;
    },
    awaitStatus,
    awaitInForce: async (model) => {
      const find = ({ deployments }: Status) =>
        deployments.find((one) => one.model === model && one.declarationHash === declaredHash);
      const status = find(await awaitStatus((status) => find(status) !== undefined));
      if (status === undefined) throw new Error("The model left the status.");
      return status;
    },
    awaitState: async (reference, state) => {
      const find = ({ deployments }: Status) =>
        deployments.flatMap(({ versions }) => versions).findLast((version) => version.package === reference);
      const status = find(
        await awaitStatus((status) => {
          const version = find(status);
          if (version?.state === State.FAILED && state !== State.FAILED) throw new Error(version.message);
          return version?.state === state;
        }),
      );
      if (status === undefined) throw new Error("The version left the status.");
      return status;
    },
    killAndRestart: async () => {
      await service.kill();
      service = await start();
    },
    close: async () => {
      await service.stop();
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
};
