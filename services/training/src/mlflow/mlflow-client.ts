import { readFileSync } from "node:fs";
import { MillraceError, Reason } from "@millrace/errors";

const requestTimeoutMs = 30_000;
/** Most of each that one call to log-batch takes. */
const batch = { metrics: 1000, params: 100, tags: 100 } as const;

/** Thrown where a tracking server does not answer, or refuses. */
export class MlflowFailedError extends MillraceError {
  /** The same request would be refused again: it is what it asks, not who asks or when. */
  readonly isRefusal: boolean;

  constructor(path: string, why: string, details: { readonly cause?: unknown; readonly status?: number } = {}) {
    const { cause, status = 0 } = details;
    super("UNAVAILABLE", Reason.STORE_UNAVAILABLE, `MLflow did not take ${path}: ${why}`, { cause });
    this.isRefusal = [400, 404, 409, 413, 422].includes(status);
  }
}

export interface MlflowMetric {
  readonly key: string;
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly step: number;
}

export interface MlflowText {
  readonly key: string;
  readonly value: string;
}

/** What is written of a run. */
export interface MlflowRun {
  readonly experiment: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly status: "FINISHED" | "FAILED" | "KILLED";
  /** The first of them finds the run again. */
  readonly tags: readonly [MlflowText, ...MlflowText[]];
  readonly params: readonly MlflowText[];
  readonly metrics: readonly MlflowMetric[];
}

/**
 * Writes runs to an MLflow tracking server by its REST API, version 2.0: https://mlflow.org/docs/latest/rest-api.html
 * @param tokenFile a file with a bearer token, read at each use.
 */
export class MlflowClient {
  readonly #url: string;
  readonly #tokenFile: string | undefined;

  constructor(trackingUri: string, tokenFile: string | undefined) {
    this.#url = `${trackingUri.replace(/\/+$/, "")}/api/2.0/mlflow`;
    this.#tokenFile = tokenFile;
  }

  /**
   * Writes a run, once: a run that has its first tag already is written on, which changes nothing that is there.
   * @returns its id. @throws MlflowFailedError
   */
  async write(run: MlflowRun, signal: AbortSignal): Promise<string> {
    const experiment = await this.#experiment(run.experiment, signal);
    const runId = (await this.#find(experiment, run.tags[0], signal)) ?? (await this.#create(experiment, run, signal));
    const { metrics, params, tags } = run;
    const calls = Math.max(
      1,
      Math.ceil(metrics.length / (batch.metrics - batch.params - batch.tags)),
      Math.ceil(params.length / batch.params),
      Math.ceil(tags.length / batch.tags),
    );
    const part = <T>(all: readonly T[], call: number): readonly T[] =>
      all.slice(Math.ceil((all.length / calls) * call), Math.ceil((all.length / calls) * (call + 1)));
    for (let call = 0; call < calls; call++) {
      const some = { metrics: part(metrics, call), params: part(params, call), tags: part(tags, call) };
      await this.#ask("POST", "runs/log-batch", { run_id: runId, ...some }, signal);
    }
    await this.#ask("POST", "runs/update", { run_id: runId, status: run.status, end_time: run.endMs }, signal);
    return runId;
  }

  async #experiment(name: string, signal: AbortSignal): Promise<string> {
    const known = await this.#ask(
      "GET",
      `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`,
      undefined,
      signal,
      404,
    );
    const found = (known as { experiment?: { experiment_id?: string } } | undefined)?.experiment?.experiment_id;
    if (found !== undefined) return found;
    const made = await this.#ask("POST", "experiments/create", { name }, signal);
    return (made as { experiment_id: string }).experiment_id;
  }

  async #find(experiment: string, { key, value }: MlflowText, signal: AbortSignal): Promise<string | undefined> {
    const question = { experiment_ids: [experiment], filter: `tags.\`${key}\` = '${value}'`, max_results: 1 };
    const { runs = [] } = (await this.#ask("POST", "runs/search", question, signal)) as {
      runs?: { info: { run_id: string } }[];
    };
    return runs[0]?.info.run_id;
  }

  async #create(experiment: string, { name, startMs, tags }: MlflowRun, signal: AbortSignal): Promise<string> {
    const asked = { experiment_id: experiment, run_name: name, start_time: startMs, tags: [tags[0]] };
    const { run } = (await this.#ask("POST", "runs/create", asked, signal)) as { run: { info: { run_id: string } } };
    return run.info.run_id;
  }

  /** @param absent a status that is an answer: nothing is there. */
  async #ask(
    method: "GET" | "POST",
    path: string,
    body: object | undefined,
    signal: AbortSignal,
    absent?: number,
  ): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(`${this.#url}/${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(this.#tokenFile === undefined
            ? {}
            : { authorization: `Bearer ${readFileSync(this.#tokenFile, "utf8").trim()}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]),
      });
    } catch (cause) {
      throw new MlflowFailedError(
        path,
        cause instanceof Error ? String(cause.cause ?? cause.message) : "it does not answer",
        { cause },
      );
    }
    if (response.status === absent) return undefined;
    const text = await response.text();
    if (!response.ok) {
      throw new MlflowFailedError(path, `${response.status} ${text.slice(0, 300)}`, { status: response.status });
    }
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new MlflowFailedError(path, `its answer is no JSON: ${text.slice(0, 100)}`, { cause });
    }
  }
}
