import { create, type DescMethodUnary, fromBinary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { GRPCInferenceService } from "@millrace/contracts/inference/grpc_service";
import { ModelConfigSchema } from "@millrace/contracts/inference/model_config";
import { EncodedMessage, type Unary, validateRequest } from "@millrace/grpc";
import {
  BodyInvalidError,
  describe,
  parseObject,
  type RestAnswer,
  type RestRequest,
  type RestRoute,
  type WritableJson,
  writeJson,
} from "@millrace/rest";
import type { OpenInferenceCalls } from "../open-inference-service.ts";
import type { TensorInference } from "../rpc/model-infer.ts";
import { ModelNotReadyError } from "../serving/serving-errors.ts";
import { generate } from "./generate.ts";
import { logSettingsOf, repositoryParametersOf, settingsJson, traceSettingsOf, wholeOf } from "./json-requests.ts";
import { messageJson } from "./message-json.ts";
import { type NamedModel, restInfer } from "./model-infer.ts";

/** Every path of the protocol's REST form, as Triton has them. A call without tensors is answered by its RPC. */
export const restRoutes = (calls: OpenInferenceCalls, inference: TensorInference): readonly RestRoute[] => {
  const { method } = GRPCInferenceService;
  const get = (path: string, answer: RestRoute["answer"]): RestRoute => ({ method: "GET", path, answer });
  const post = (path: string, answer: RestRoute["answer"]): RestRoute => ({ method: "POST", path, answer });
  const metadata = async (request: RestRequest) =>
    json(
      messageJson(
        method.modelMetadata.output,
        await ask(method.modelMetadata, calls.modelMetadata, named(request), request),
      ),
    );
  const traceSetting = (changes: boolean) => async (request: RestRequest) => {
    const settings = changes ? traceSettingsOf(parseObject(await request.body())) : {};
    const asked = { modelName: request.part("model"), settings };
    return json(settingsJson((await ask(method.traceSetting, calls.traceSetting, asked, request)).settings));
  };
  const logSettings = (changes: boolean) => async (request: RestRequest) => {
    const settings = changes ? logSettingsOf(parseObject(await request.body())) : {};
    return json(settingsJson((await ask(method.logSettings, calls.logSettings, { settings }, request)).settings));
  };
  const statistics = async (request: RestRequest) =>
    json(
      messageJson(
        method.modelStatistics.output,
        await ask(method.modelStatistics, calls.modelStatistics, named(request), request),
      ),
    );
  const memoryStatus = async (request: RestRequest) => {
    const asked = { name: request.part("region") };
    const { regions } = await ask(method.systemSharedMemoryStatus, calls.systemSharedMemoryStatus, asked, request);
    return json(
      Object.values(regions).map(({ name, key, offset, byteSize }) => ({ name, key, offset, byte_size: byteSize })),
    );
  };
  const memoryUnregister = async (request: RestRequest) => {
    const asked = { name: request.part("region") };
    await ask(method.systemSharedMemoryUnregister, calls.systemSharedMemoryUnregister, asked, request);
    return empty(200);
  };
  const cuda = async () =>
    json(messageJson(method.cudaSharedMemoryStatus.output, await calls.cudaSharedMemoryStatus()));
  return [
    post("v2/models/:model[/versions/:version]/infer", async (request) =>
      restInfer(inference, target(request), await request.body(), request.call),
    ),
    post("v2/models/:model[/versions/:version]/generate", async (request) =>
      generate(inference, target(request), await request.body(), request.call, false),
    ),
    post("v2/models/:model[/versions/:version]/generate_stream", async (request) =>
      generate(inference, target(request), await request.body(), request.call, true),
    ),
    { ...get("v2/health/live", async () => empty(200)), open: true },
    {
      ...get("v2/health/ready", async (request) =>
        empty((await ask(method.serverReady, calls.serverReady, {}, request)).ready ? 200 : 400),
      ),
      open: true,
    },
    get("v2", async (request) =>
      json(
        messageJson(method.serverMetadata.output, await ask(method.serverMetadata, calls.serverMetadata, {}, request)),
      ),
    ),
    get("v2/models/stats", statistics),
    get("v2/models/:model[/versions/:version]/stats", statistics),
    get("v2/models/:model[/versions/:version]", metadata),
    get("v2/models/:model[/versions/:version]/ready", async (request) => {
      const { ready } = await ask(method.modelReady, calls.modelReady, named(request), request);
      return ready ? empty(200) : { ...json({ error: "The model is not ready." }), status: 400 };
    }),
    get("v2/models/:model[/versions/:version]/config", async (request) => {
      const { config } = await ask(method.modelConfig, calls.modelConfig, named(request), request);
      if (config === undefined)
        throw new ModelNotReadyError(request.part("model"), request.part("version"), "unknown", "");
      return json(messageJson(ModelConfigSchema, config));
    }),
    post("v2/repository/index", async (request) => {
      const { ready = false } = parseObject(await request.body());
      if (typeof ready !== "boolean") throw new BodyInvalidError("ready", "true or false", describe(ready));
      const { models } = await ask(method.repositoryIndex, calls.repositoryIndex, { ready }, request);
      return json(
        models.map(({ name, version, state, reason }) => ({
          name,
          version,
          state,
          reason: reason === "" ? undefined : reason,
        })),
      );
    }),
    post("v2/repository/models/:model/load", async (request) => {
      const parameters = repositoryParametersOf(parseObject(await request.body()).parameters);
      const asked = { modelName: request.part("model"), parameters };
      await ask(method.repositoryModelLoad, calls.repositoryModelLoad, asked, request);
      return empty(200);
    }),
    post("v2/repository/models/:model/unload", async (request) => {
      const parameters = repositoryParametersOf(parseObject(await request.body()).parameters);
      const asked = { modelName: request.part("model"), parameters };
      await ask(method.repositoryModelUnload, calls.repositoryModelUnload, asked, request);
      return empty(200);
    }),
    get("v2/systemsharedmemory/status", memoryStatus),
    get("v2/systemsharedmemory/region/:region/status", memoryStatus),
    post("v2/systemsharedmemory/region/:region/register", async (request) => {
      const { key, offset = 0, byte_size: byteSize } = parseObject(await request.body());
      if (typeof key !== "string") throw new BodyInvalidError("key", "text", describe(key));
      const asked = {
        name: request.part("region"),
        key,
        offset: wholeOf("offset", offset),
        byteSize: wholeOf("byte_size", byteSize),
      };
      await ask(method.systemSharedMemoryRegister, calls.systemSharedMemoryRegister, asked, request);
      return empty(200);
    }),
    post("v2/systemsharedmemory/unregister", memoryUnregister),
    post("v2/systemsharedmemory/region/:region/unregister", memoryUnregister),
    get("v2/cudasharedmemory/status", cuda),
    get("v2/cudasharedmemory/region/:region/status", cuda),
    post("v2/cudasharedmemory/region/:region/register", cuda),
    post("v2/cudasharedmemory/unregister", cuda),
    post("v2/cudasharedmemory/region/:region/unregister", cuda),
    get("v2/trace/setting", traceSetting(false)),
    post("v2/trace/setting", traceSetting(true)),
    get("v2/models/:model/trace/setting", traceSetting(false)),
    post("v2/models/:model/trace/setting", traceSetting(true)),
    get("v2/logging", logSettings(false)),
    post("v2/logging", logSettings(true)),
  ];
};

/** Has an RPC answer. @throws RequestInvalidError, and what the RPC throws. */
const ask = async <M extends DescMethodUnary>(
  method: M,
  handler: Unary<M>,
  request: MessageInitShape<M["input"]>,
  { call }: RestRequest,
): Promise<MessageShape<M["output"]>> => {
  const message = create(method.input, request);
  validateRequest(method.input, message);
  const answer = await handler(message as MessageShape<M["input"]>, call);
  return answer instanceof EncodedMessage
    ? fromBinary<M["output"]>(method.output, answer.bytes)
    : create<M["output"]>(method.output, answer);
};

const named = (request: RestRequest) => ({ name: request.part("model"), version: request.part("version") });
const target = (request: RestRequest): NamedModel => ({
  model: request.part("model"),
  version: request.part("version"),
});
const json = (value: WritableJson): RestAnswer => ({ status: 200, type: "application/json", body: writeJson(value) });
const empty = (status: number): RestAnswer => ({ status, type: "text/plain", body: "" });
