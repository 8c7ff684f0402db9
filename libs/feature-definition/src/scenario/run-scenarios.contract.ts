import { AsOf } from "@millrace/contracts/millrace/feature/v1/feature_service";
import { describe, expect, test } from "vitest";
import type { Scalar } from "../compiled.ts";
import { readScenarios, type Scenario, type ScenarioAsk } from "./scenario.contract.ts";

/** One way to compute features: the SQL of an engine, the stream path, the naive reference. */
export interface ScenarioExecutor {
  readonly name: string;
  /** The answers to a scenario's asks, in their order. A status is only compared where it is given. */
  answer(scenario: Scenario, asks: readonly ScenarioAsk[]): Promise<readonly ScenarioAnswer[]>;
  /** Why an ask has no answer here; undefined where it has one. */
  skips?(scenario: Scenario, ask: ScenarioAsk): string | undefined;
}

export interface ScenarioAnswer {
  readonly value: Scalar;
  readonly status?: string;
}

/** Registers one test a scenario: that the executor answers all its asks as the file says. */
export const runScenarios = async (executor: ScenarioExecutor): Promise<void> => {
  const scenarios = await readScenarios();
  describe(`${executor.name} answers`, () => {
    test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))("%s", async (_, scenario) => {
      const asks = scenario.asks.filter((ask) => executor.skips?.(scenario, ask) === undefined);
      const answers = await executor.answer(scenario, asks);
      expect(answers).toHaveLength(asks.length);
      asks.forEach((ask, index) => {
        const answer = answers[index];
        const asked = `${ask.keys.join(", ")} at ${ask.timeUs} µs, ${ask.asOf === AsOf.KNOWN_AT ? "as known then" : "by event time"}`;
        if (typeof ask.expect === "number" && Number.isFinite(ask.expect)) {
          expect(answer?.value, `${asked}: ${scenario.because}`).toBeTypeOf("number");
          expect(Number(answer?.value), `${asked}: ${scenario.because}`).toBeCloseTo(ask.expect, 9);
        } else {
          expect(answer?.value, `${asked}: ${scenario.because}`).toEqual(ask.expect);
        }
        if (answer?.status !== undefined && ask.status !== undefined) expect(answer.status, asked).toBe(ask.status);
      });
    });
  });
};
