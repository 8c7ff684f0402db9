import { join } from "node:path";
import type { Layout } from "../layout.ts";
import type { Narration } from "../narration.ts";
import type { ServiceName, ServicePlan } from "../services.ts";
import type { Summary } from "../walkthrough.ts";

const figure = (value: number | undefined, digits: number): string => value?.toFixed(digits) ?? "-";

/** The figures of the whole, a week a row. */
export const tellSummary = (summary: Summary, layout: Layout, narration: Narration): void => {
  narration.line("");
  narration.strong("summary");
  narration.table([
    ["week of", "rows", "drift", "log loss est.", "realized", "ROC AUC", "alerts"],
    ...summary.weeks.map(({ from, rows, measures, alerts }) => [
      from,
      String(rows),
      figure(measures["WASSERSTEIN probability"], 2),
      figure(measures.ESTIMATED_LOG_LOSS, 3),
      figure(measures.LOG_LOSS, 3),
      figure(measures.ROC_AUC, 3),
      alerts.join(", ") || "none",
    ]),
  ]);
  narration.line([...narration.seconds()].map(([step, seconds]) => `${step} ${seconds.toFixed(0)} s`).join(", "));
  narration.line(`report  file://${layout.reportFile}`);
};

/** Lines that work when they are pasted into another terminal. */
export const tellCommands = (plans: readonly ServicePlan[], layout: Layout, narration: Narration): void => {
  const address = (name: ServiceName): string => `127.0.0.1:${plans.find((plan) => plan.name === name)?.grpcPort}`;
  const grpcurl = (name: ServiceName, method: string, body: string): string =>
    `grpcurl -plaintext -d '${body}' ${address(name)} ${method}`;
  narration.line("");
  narration.strong("call it");
  const calls: readonly (readonly [ServiceName, string, string, string])[] = [
    [
      "feature-serving",
      "millrace.feature.v1.FeatureService/GetFeatures",
      '{"references":{"features":["airport_profile.*","airport_delays.arrivals_24h"]},"entities":[{"name":"airport","values":{"strings":{"values":["ATL","ORD"]}}}]}',
      `get-features 'airport_profile.*' --entity airport=ATL --address ${address("feature-serving")}`,
    ],
    [
      "training",
      "millrace.training.v1.TrainingService/ListRuns",
      '{"page_size":5}',
      `runs --address ${address("training")}`,
    ],
    [
      "inference",
      "millrace.inference.v1.PredictionService/Predict",
      '{"model":"flight_delay","entities":[{"name":"airport","values":{"strings":{"values":["ATL"]}}}],"request":[{"name":"departed_at","values":{"timestamps":{"values_us":["984700000000000"]}}},{"name":"distance","values":{"int64s":{"values":["600"]}}}]}',
      `predict flight_delay --entity airport=ATL --request departed_at=2001-03-16T00:00:00Z --request distance=600 --address ${address("inference")}`,
    ],
    [
      "monitoring",
      "millrace.monitoring.v1.MonitoringService/GetStatus",
      '{"model":"flight_delay"}',
      `status flight_delay --address ${address("monitoring")}`,
    ],
  ];
  for (const [name, method, body, command] of calls) {
    narration.line(grpcurl(name, method, body));
    narration.line(`npx millrace ${command}`);
  }
  narration.line(
    `npx millrace report flight_delay --address ${address("monitoring")} --out ${join(layout.stateFolder, "report.html")}`,
  );
};
