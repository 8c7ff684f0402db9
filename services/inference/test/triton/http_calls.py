"""The calls without tensors over REST."""

import sys

import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[2])


def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError(f"{call.__name__} was not refused")


assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("scale") and client.is_model_ready("scale", "1")
assert not client.is_model_ready("nobody")
server = client.get_server_metadata()
assert server["name"] == "millrace" and "binary_tensor_data" in server["extensions"]
metadata = client.get_model_metadata("scale", "1")
assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}]
assert refused(client.get_model_metadata, "nobody")[0] == "404"
config = client.get_model_config("scale")
assert config["max_batch_size"] == 128 and config["input"][0]["dims"] == [1] and config["platform"] == "onnxruntime_onnx"
assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 0
index = {model["name"]: model["state"] for model in client.get_model_repository_index()}
assert index["scale"] == "READY"
statistics = client.get_inference_statistics("scale")["model_stats"]
assert statistics[0]["name"] == "scale" and isinstance(statistics[0]["inference_stats"]["success"]["ns"], int)
assert len(client.get_inference_statistics()["model_stats"]) > 5

client.unload_model("identity-UINT8")
assert not client.is_model_ready("identity-UINT8")
client.load_model("identity-UINT8")
assert client.is_model_ready("identity-UINT8")

assert client.get_log_settings()["log_verbose_level"] == 0
assert client.update_log_settings({"log_verbose_level": 1})["log_verbose_level"] == 1
assert client.update_log_settings({"log_verbose_level": 0})["log_verbose_level"] == 0
status, message = refused(client.update_log_settings, {"log_format": "ISO8601"})
assert status == "400" and "log_format" in message, message
trace = client.get_trace_settings()
assert trace["trace_level"] == ["OFF"] and trace["trace_mode"] == "opentelemetry"
assert client.get_trace_settings("scale") == trace
status, message = refused(client.update_trace_settings, settings={"trace_rate": "5"})
assert status == "501" and "trace_rate" in message, message
assert refused(client.get_cuda_shared_memory_status)[0] == "501"
