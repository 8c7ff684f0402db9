"""The calls without tensors over gRPC: arguments GRPC_ADDRESS REST_ADDRESS, as every script here."""

import sys

import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])


def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError(f"{call.__name__} was not refused")


assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("scale") and client.is_model_ready("scale", "1")
assert refused(client.is_model_ready, "nobody")[0] == "StatusCode.NOT_FOUND"

server = client.get_server_metadata(as_json=True)
assert server["name"] == "millrace" and {"classification", "logging", "statistics"} <= set(server["extensions"])
assert "system_shared_memory" in server["extensions"] and "cuda_shared_memory" not in server["extensions"]

metadata = client.get_model_metadata("scale", as_json=True)
assert metadata["versions"] == ["1"] and metadata["platform"] == "onnxruntime_onnx"
assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "1"]}]
assert metadata["outputs"] == [{"name": "y", "datatype": "FP32", "shape": ["-1", "1"]}]

config = client.get_model_config("scale", as_json=True)["config"]
assert config["max_batch_size"] == 128
assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": ["1"]}]

index = {model.name: model.state for model in client.get_model_repository_index().models}
assert index["scale"] == index["identity-BYTES"] == "READY"

statistics = client.get_inference_statistics(as_json=True)["model_stats"]
assert {model["name"] for model in statistics} == {name for name, state in index.items() if state == "READY"}
assert client.get_inference_statistics("scale").model_stats[0].name == "scale"
assert refused(client.get_inference_statistics, "nobody")[0] == "StatusCode.NOT_FOUND"

client.unload_model("identity-INT8")
states = {model.name: model.state for model in client.get_model_repository_index().models}
assert states["identity-INT8"] == "UNAVAILABLE", states
assert refused(client.is_model_ready, "identity-INT8")[0] == "StatusCode.NOT_FOUND"
client.load_model("identity-INT8")
assert client.is_model_ready("identity-INT8")

log = client.get_log_settings(as_json=True)["settings"]
assert log["log_info"] == {"bool_param": True} and log["log_verbose_level"] == {"uint32_param": 0}
changed = client.update_log_settings({"log_verbose_level": 1}, as_json=True)["settings"]
assert changed["log_verbose_level"] == {"uint32_param": 1}
changed = client.update_log_settings({"log_verbose_level": 0, "log_info": False}, as_json=True)["settings"]
assert changed["log_info"] == {"bool_param": False} and changed["log_warning"] == {"bool_param": True}
client.update_log_settings({"log_info": True})
status, message = refused(client.update_log_settings, {"log_file": "/tmp/log"})
assert status == "StatusCode.INVALID_ARGUMENT" and "log_file" in message, message

trace = client.get_trace_settings(as_json=True)["settings"]
assert trace["trace_mode"] == {"value": ["opentelemetry"]} and trace["trace_level"] == {"value": ["OFF"]}
assert client.get_trace_settings("scale", as_json=True)["settings"] == trace
status, message = refused(client.update_trace_settings, settings={"trace_rate": "5"})
assert status == "StatusCode.UNIMPLEMENTED" and message.startswith("trace_rate: "), message
status, message = refused(client.update_trace_settings, "scale", {"trace_level": ["TIMESTAMPS"]})
assert status == "StatusCode.UNIMPLEMENTED" and "for one model (scale)" in message, message

assert refused(client.get_cuda_shared_memory_status)[0] == "StatusCode.UNIMPLEMENTED"
