"""Calls a running inference service with NVIDIA's public gRPC client, unchanged, and prints what came as one JSON line.

Arguments: host:port. The service serves identity-<DATATYPE> (y = x, [rows, 2]) and scale (y = 3x, FP32 [rows, 1]).
"""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

client = triton.InferenceServerClient(sys.argv[1])
out = {}

out["live"] = client.is_server_live()
out["ready"] = client.is_server_ready()
out["model_ready"] = client.is_model_ready("scale")
out["server"] = client.get_server_metadata(as_json=True)["name"]
out["metadata"] = client.get_model_metadata("scale", as_json=True)
out["config"] = client.get_model_config("scale", as_json=True)["config"]
out["index"] = sorted(model.name for model in client.get_model_repository_index().models if model.state == "READY")

# Raw contents, which is all that the client sends, in every datatype.
out["raw"] = {}
for datatype in ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]:
    value = np.array([[0, 1], [1, 0]], dtype=triton_to_np_dtype(datatype))
    tensor = triton.InferInput("x", [2, 2], datatype)
    tensor.set_data_from_numpy(value)
    answer = client.infer(f"identity-{datatype}", [tensor], request_id="r", outputs=[triton.InferRequestedOutput("y")])
    got = answer.as_numpy("y")
    out["raw"][datatype] = bool((got == value).all()) and got.dtype == value.dtype and answer.get_response().id == "r"
words = np.array([["a", "é"], ["", "d"]], dtype=object)
tensor = triton.InferInput("x", [2, 2], "BYTES")
tensor.set_data_from_numpy(words)
got = client.infer("identity-BYTES", [tensor]).as_numpy("y")
out["raw"]["BYTES"] = [[element.decode() for element in row] for row in got]

# Typed contents, over the client's own generated stub.
request = service_pb2.ModelInferRequest(model_name="scale")
request.inputs.add(name="x", datatype="FP32", shape=[2, 1]).contents.fp32_contents.extend([1.0, 2.0])
out["typed"] = list(client._client_stub.ModelInfer(request).outputs[0].contents.fp32_contents)


def scale_input(value):
    tensor = triton.InferInput("x", [1, 1], "FP32")
    tensor.set_data_from_numpy(np.array([[value]], dtype=np.float32))
    return tensor


# A stream: the second request fails, and the third is answered all the same.
results = queue.Queue()
client.start_stream(callback=lambda result, error: results.put((result, error)))
client.async_stream_infer("scale", [scale_input(1)], request_id="1")
client.async_stream_infer("nobody", [scale_input(1)], request_id="2")
client.async_stream_infer("scale", [scale_input(2)], request_id="3")
out["stream"] = []
for _ in range(3):
    result, error = results.get(timeout=30)
    out["stream"].append(str(error.message()) if error is not None else float(result.as_numpy("y")[0][0]))
client.stop_stream()

out["statistics"] = client.get_inference_statistics("scale", as_json=True)["model_stats"][0]["inference_count"]
client.unload_model("identity-INT8")
out["ready_after_unload"] = "identity-INT8" in [model.name for model in client.get_model_repository_index().models]
client.load_model("identity-INT8")
out["ready_after_load"] = client.is_model_ready("identity-INT8")
try:
    client.infer("scale", [triton.InferInput("x", [1, 2], "FP32").set_data_from_numpy(np.zeros((1, 2), np.float32))])
except InferenceServerException as error:
    out["error"] = {"status": str(error.status()), "message": error.message()}

print(json.dumps(out))
