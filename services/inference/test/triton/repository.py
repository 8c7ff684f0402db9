"""Models that are loaded and unloaded by call, over gRPC and over REST: arguments GRPC_ADDRESS REST_ADDRESS MODEL_FILE.

The service is started with `--model-control-mode explicit --load-model scale`; MODEL_FILE is that of `scale` (y = 3x).
"""

import json
import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

with open(sys.argv[3], "rb") as file:
    onnx = file.read()


def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except InferenceServerException as error:
        return error.message()
    raise AssertionError("was not refused")


for triton, client in [
    (grpc, grpc.InferenceServerClient(sys.argv[1])),
    (http, http.InferenceServerClient(sys.argv[2])),
]:

    def states():
        index = client.get_model_repository_index()
        if triton is http:
            return {model["name"]: model["state"] for model in index}
        return {model.name: model.state for model in index.models}

    def most_rows(name):
        config = client.get_model_config(name)
        return config["max_batch_size"] if triton is http else config.config.max_batch_size

    def triple(name):
        given = triton.InferInput("x", [1, 1], "FP32")
        given.set_data_from_numpy(np.array([[2]], dtype=np.float32))
        return float(client.infer(name, [given]).as_numpy("y")[0, 0])

    # What the index says of a model that was never loaded is its server's choice; no call reaches it.
    assert states()["scale"] == "READY" and states().get("identity-FP32") != "READY", states()
    client.load_model("identity-FP32")
    assert client.is_model_ready("identity-FP32") and states()["identity-FP32"] == "READY"
    client.unload_model("identity-FP32", unload_dependents=True)
    assert states().get("identity-FP32") != "READY"

    client.load_model("scale", config=json.dumps({"max_batch_size": 8}))
    assert most_rows("scale") == 8 and triple("scale") == 6
    client.load_model("scale")
    assert most_rows("scale") == 128

    client.load_model("sent", config=json.dumps({"max_batch_size": 4}), files={"file:1/model.onnx": onnx})
    assert triple("sent") == 6 and most_rows("sent") == 4
    client.unload_model("sent")
    assert states().get("sent") != "READY"

    assert "nobody" in refused(client.load_model, "nobody")
    assert "config" in refused(client.load_model, "scale", config="{")
    assert triple("scale") == 6
