import type { PredictResponse } from "@millrace/contracts/millrace/inference/v1/prediction_service";
import type { RunningInference } from "./start-inference.ts";

export const strings = (name: string, values: string[]) => ({
  name,
  values: { values: { case: "strings" as const, value: { values } } },
});

export const doubles = (name: string, values: number[]) => ({
  name,
  values: { values: { case: "doubles" as const, value: { values } } },
});

/** Predicts for airports; the distance of each is its row. */
export const predictFlights = (
  service: RunningInference,
  airports: string[],
  more: object = {},
  options: { timeoutMs?: number; metadata?: Record<string, string> } = {},
) =>
  service.predictions.predict(
    {
      model: "flight_delay",
      entities: [strings("airport", airports)],
      request: [
        doubles(
          "distance",
          airports.map((_, row) => row),
        ),
      ],
      ...more,
    },
    options,
  );

/** The scores of an answer, row by row. */
export const scoresOf = ({ outputs }: Pick<PredictResponse, "outputs">): number[] => [
  ...new Float32Array((outputs[0]?.data ?? new Uint8Array()).slice().buffer),
];
