import { join } from "node:path";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";

import type { ModelInferRequestSchema } from "@millrace/contracts/inference/grpc_service";
import { type Prediction, PredictionSchema } from "@millrace/contracts/millrace/event/v1/event";
import { Meaning } from "@millrace/contracts/millrace/model/v1/model_package";
import { type LogRecord, openEventLog } from "@millrace/event-log";
import { buildBaseline } from "@millrace/stats";
import { CloudEvent, HTTP } from "cloudevents";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type DeployedService, startDeployedService } from "./deployed-service.ts";
import { scalePackage } from "./packages.ts";
import { type PayloadReceiver, type ReceivedEvent, startPayloadReceiver } from "./payload-receiver.ts";
import { restAsk } from "./rest-ask.ts";
import { startMonitoring } from "./start-monitoring.ts";

let deployed: DeployedService;
let reference: string;

const start = async () => {
  deployed = await startDeployedService((folder) => ["--event-log-url", `log:${join(folder, "log")}`]);
  // y = 2 x
  const content = scalePackage(2);
  reference = await deployed.push("scale", {
    ...content,
    baseline: buildBaseline({
      columns: [
        { name: "x", meaning: Meaning.NUMERIC, values: [0, 10] },
        { name: "y", meaning: Meaning.NUMERIC, output: true, values: [0, 20] },
      ],
      eventTimesUs: BigInt64Array.of(0n, 1n),
    }),
  });
};

const govern = async (more: string) => {
  deployed.declare(`
deployments:
  - model: scale
    versions: [{version: 4, package: "${reference}"}]
    ${more}
`);
  await deployed.awaitInForce("scale");
};

const floats = (values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const request = (id: string, values: number[]): MessageInitShape<typeof ModelInferRequestSchema> => ({
  modelName: "scale",
  id,
  inputs: [{ name: "x", datatype: "FP32", shape: [BigInt(values.length), 1n] }],
  rawInputContents: [floats(values)],
});

/** All records of the prediction topic, by key. */
const logged = async (): Promise<Map<string, LogRecord[]>> => {
  const log = await openEventLog(`log:${join(deployed.folder, "log")}`);
  const byKey = new Map<string, LogRecord[]>();
  for (const { partition } of await log.bounds("predictions")) {
    for await (const { records } of log.read("predictions", { partition, offset: 0n })) {
      for (const record of records) {
        const key = new TextDecoder().decode(record.key);
        byKey.set(key, [...(byKey.get(key) ?? []), record]);
      }
    }
  }
  await log.close();
  return byKey;
};

const read = (record: LogRecord | undefined): Prediction => {
  if (record?.value == null) throw new Error("It was not logged.");
  return fromBinary(PredictionSchema, record.value);
};

describe("rows of tensors in the prediction log", () => {
  beforeAll(start, 60_000);
  afterAll(() => deployed.close());

  test("are there from each protocol after a stop, by the id of their request and their row, as monitoring counts them", async () => {
    await govern("predictionLog: {inferSampling: 1}");
    const { oip, restUrl } = deployed.service;
    await oip.modelInfer(request("unary", [1, 2]));
    const stream = oip.modelStreamInfer(
      (async function* () {
        yield request("streamed", [3]);
      })(),
    );
    for await (const answer of stream) expect(answer.errorMessage).toBe("");
    const rest = await restAsk(`${restUrl}/v2/models/scale/infer`, {
      id: "rest",
      inputs: [{ name: "x", datatype: "FP32", shape: [1, 1], data: [4] }],
    });
    expect(rest.status).toBe(200);
    // Again: the same predictions.
    await oip.modelInfer(request("unary", [1, 2]));
    await oip.modelInfer(request("", [5, 6]));
    expect(await deployed.service.stop()).toBe(0);

    const records = await logged();
    const named = [...records.keys()].filter((key) => !/^scale\/[0-9a-f-]{36}\/[01]$/.test(key));
    expect(named.sort()).toEqual(["scale/rest/0", "scale/streamed/0", "scale/unary/0", "scale/unary/1"]);
    expect(records.size).toBe(6);
    expect(records.get("scale/unary/0")).toHaveLength(2);
    const second = read(records.get("scale/unary/1")?.[0]);
    expect(second).toMatchObject({
      id: "scale/unary/1",
      model: "scale",
      modelVersion: "4",
      packageDigest: reference.split("@")[1],
      packageRepository: "scale",
      features: [{ name: "x", value: { value: { case: "float", value: 2 } } }],
      outputs: [{ name: "y", values: [4] }],
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect(records.get("scale/rest/0")?.[0]?.headers).toMatchObject({
      ce_id: "scale/rest/0",
      ce_type: "io.millrace.prediction.v1",
      ce_source: "/millrace/inference/scale",
    });

    const monitoring = await startMonitoring([
      ...["--event-log-url", `log:${join(deployed.folder, "log")}`],
      ...["--model-store-url", `oci:${join(deployed.folder, "models")}`],
      ...["--state-url", `lmdb:${join(deployed.folder, "monitoring")}`],
    ]);
    try {
      // The row that was sent twice is the same prediction, counted once.
      expect(await monitoring.client.awaitCounted({ model: "scale" })).toMatchObject({ predictions: 6n });
      const { windows } = await monitoring.client.listWindows({ model: "scale" });
      const today = windows.filter(({ slice }) => slice === "");
      expect(today.reduce((rows, window) => rows + window.rows, 0n)).toBe(6n);
      // At midnight there may be two windows.
      const meanOf = (name: string) =>
        today.reduce((sum, { rows, columns }) => {
          const column = columns.find((each) => each.column === name);
          return sum + Number(rows) * (column?.mean ?? Number.NaN);
        }, 0) / 6;
      expect([meanOf("x"), meanOf("y")]).toEqual([expect.closeTo(3.5, 9), expect.closeTo(7, 9)]);
      const { prediction } = await monitoring.client.getPrediction({ id: "scale/streamed/0" });
      expect(prediction?.outputs).toMatchObject([{ name: "y", values: [6] }]);
    } finally {
      await monitoring.stop();
    }
  }, 60_000);
});

describe("a share of the rows of tensors", () => {
  beforeAll(start, 60_000);
  afterAll(() => deployed.close());

  test("is logged, the same of a repeated call, and none where nothing is said", async () => {
    const ids = Array.from({ length: 40 }, (_, at) => `id${at}`);
    const rows = Array.from({ length: 50 }, (_, row) => row);
    await govern("");
    await deployed.service.oip.modelInfer(request("unlogged", rows));
    await govern("predictionLog: {inferSampling: 0.25}");
    for (const id of [...ids, ...ids]) await deployed.service.oip.modelInfer(request(id, rows));
    expect(await deployed.service.stop()).toBe(0);
    const records = await logged();
    // 2000 rows at 0.25: five standard deviations are 97.
    expect(Math.abs(records.size - 500)).toBeLessThan(97);
    for (const [key, all] of records) {
      expect([key, all.length]).toEqual([key, 2]);
      expect(key).not.toMatch(/unlogged/);
      const row = Number(key.split("/")[2]);
      expect(read(all[0])).toMatchObject({
        features: [{ value: { value: { value: row } } }],
        outputs: [{ values: [2 * row] }],
      });
    }
  }, 60_000);
});

describe("the payload log", () => {
  let receiver: PayloadReceiver;

  beforeAll(start, 60_000);
  afterAll(() => deployed.close());
  afterEach(() => receiver.close());

  const payloadLog = async (more = "") => {
    receiver = await startPayloadReceiver();
    await govern(`payloadLog: {url: "${receiver.url}", inferenceServiceName: flights, namespace: "prod: eu"${more}}`);
  };
  const arrived = async (count: number) => {
    while (receiver.events.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
    return receiver.events.map((event) => ({ event, cloud: cloudEvent(event) }));
  };
  /** As the public library of CloudEvents reads it. */
  const cloudEvent = ({ headers, body }: ReceivedEvent) => {
    const event = HTTP.toEvent({ headers: headers as Record<string, string>, body: body.toString() });
    if (!(event instanceof CloudEvent)) throw new Error("It is a batch.");
    expect(event.validate()).toBe(true);
    return event;
  };

  test("has the untouched bodies of a call over REST, as two events of one id", async () => {
    await payloadLog();
    const body = `{ "inputs": [ {"name":"x", "datatype":"FP32", "shape":[1,1], "data":[ 21.0 ]} ] }`;
    const answer = await restAsk(`${deployed.service.restUrl}/v2/models/scale/infer`, body, {
      "content-type": "application/json",
      "ce-id": "caller's own",
    });
    const events = await arrived(2);
    const sent = events.find(({ cloud }) => cloud.type === "org.kubeflow.serving.inference.request");
    const answered = events.find(({ cloud }) => cloud.type === "org.kubeflow.serving.inference.response");
    expect(sent?.event.body.toString()).toBe(body);
    expect(answered?.event.body.toString()).toBe(answer.text);
    for (const each of [sent, answered]) {
      expect(each?.cloud).toMatchObject({
        specversion: "1.0",
        id: "caller's own",
        source: "/millrace/inference/scale",
        datacontenttype: "application/json",
        inferenceservicename: "flights",
        component: "predictor",
        endpoint: "default",
      });
      expect(each?.event.headers["ce-namespace"]).toBe("prod:%20eu");
      expect(Date.parse(String(each?.cloud.time))).not.toBeNaN();
    }
    expect(answered?.cloud.data).toMatchObject({ model_version: "4", outputs: [{ name: "y", data: [42] }] });
  }, 30_000);

  test("says where the JSON of a body with bytes ends", async () => {
    await payloadLog();
    const json = JSON.stringify({
      inputs: [{ name: "x", datatype: "FP32", shape: [1, 1], parameters: { binary_data_size: 4 } }],
      parameters: { binary_data_output: true },
    });
    const body = Buffer.concat([Buffer.from(json), floats([3])]);
    const answer = await restAsk(`${deployed.service.restUrl}/v2/models/scale/infer`, body, {
      "content-type": "application/octet-stream",
      "inference-header-content-length": String(json.length),
    });
    const events = (await arrived(2)).map(({ event }) => event);
    const sent = events.find(({ headers }) => headers["ce-type"] === "org.kubeflow.serving.inference.request");
    const answered = events.find((event) => event !== sent);
    expect([sent?.body, sent?.headers["inference-header-content-length"]]).toEqual([body, String(json.length)]);
    expect(answered?.body).toEqual(answer.bytes);
    expect(answered?.headers["inference-header-content-length"]).toBe(
      answer.headers["inference-header-content-length"],
    );
    expect(answered?.headers["content-type"]).toBe("application/octet-stream");
  }, 30_000);

  test("has the tensors of a call over gRPC in the protocol's JSON, by the mode that is asked for", async () => {
    await payloadLog(", mode: RESPONSE");
    await deployed.service.oip.modelInfer(request("seven", [1, 2]));
    const [only] = await arrived(1);
    expect(only?.cloud).toMatchObject({
      type: "org.kubeflow.serving.inference.response",
      data: {
        model_name: "scale",
        model_version: "4",
        id: "seven",
        outputs: [{ name: "y", shape: [2, 1], datatype: "FP32", data: [2, 4] }],
      },
    });
    await receiver.close();
    await payloadLog(", mode: REQUEST");
    await deployed.service.oip.modelInfer(request("eight", [3]));
    const [first] = await arrived(1);
    expect(first?.cloud).toMatchObject({
      type: "org.kubeflow.serving.inference.request",
      data: { id: "eight", inputs: [{ name: "x", shape: [1, 1], datatype: "FP32", data: [3] }] },
    });
    expect(receiver.events).toHaveLength(1);
  }, 30_000);

  test("delays no answer while its receiver hangs, and is flushed by a stop", async () => {
    await payloadLog(", mode: RESPONSE");
    const release = receiver.hold();
    for (let call = 0; call < 20; call++) await deployed.service.oip.modelInfer(request(`${call}`, [call]));
    expect(receiver.events).toEqual([]);
    const stopped = deployed.service.stop();
    release();
    expect(await stopped).toBe(0);
    const ids = receiver.events.map((event) => (cloudEvent(event).data as { id: string }).id);
    expect(ids.sort()).toEqual(Array.from({ length: 20 }, (_, call) => `${call}`).sort());
  }, 30_000);
});
