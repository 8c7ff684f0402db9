import { FeatureService } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { DeploymentService } from "@millrace/contracts/millrace/inference/v1/deployment_service";
import { PredictionService } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import { MonitoringService } from "@millrace/contracts/millrace/monitoring/v1/monitoring_service";
import { TrainingService } from "@millrace/contracts/millrace/training/v1/training_service";
import { type Client, createClient } from "@millrace/grpc";
import type { Platform } from "../platform.ts";

/** A typed client of each contract that the walkthrough calls. */
export interface Clients {
  readonly features: Client<typeof FeatureService>;
  readonly training: Client<typeof TrainingService>;
  readonly predictions: Client<typeof PredictionService>;
  readonly deployments: Client<typeof DeploymentService>;
  readonly monitoring: Client<typeof MonitoringService>;
}

export const clientsOf = (platform: Platform): Clients => ({
  features: createClient(FeatureService, platform.channel("feature-serving")),
  training: createClient(TrainingService, platform.channel("training")),
  predictions: createClient(PredictionService, platform.channel("inference")),
  deployments: createClient(DeploymentService, platform.channel("inference")),
  monitoring: createClient(MonitoringService, platform.channel("monitoring")),
});
