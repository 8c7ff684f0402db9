import type { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import type { DataLocation } from "@millrace/feature-definition/duckdb";
import type { Client } from "@millrace/grpc";
import type { RunLedger } from "../runs/run-ledger.ts";
import type { RunQueue } from "../runs/run-queue.ts";

/** What the methods of the service work with. */
export interface Training {
  readonly ledger: RunLedger;
  readonly queue: RunQueue;
  readonly features: Client<typeof FeatureService> | undefined;
  readonly location: DataLocation;
  /** Whether specs may name programs to run. */
  readonly allowCommandTrainer: boolean;
  /** Milliseconds since 1970. */
  now(): number;
}
