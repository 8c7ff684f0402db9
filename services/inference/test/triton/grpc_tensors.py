"""Inference over gRPC, one call at a time: every datatype, raw and typed, and what requests may ask for."""

import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

client = triton.InferenceServerClient(sys.argv[1])
numeric = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]


def tensor(name, datatype, value):
    made = triton.InferInput(name, list(value.shape), datatype)
    made.set_data_from_numpy(value)
    return made


def floats(values):
    return tensor("x", "FP32", np.array(values, dtype=np.float32).reshape(-1, 1))


def refused(*arguments, **named):
    try:
        client.infer(*arguments, **named)
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError("the request was not refused")


# Raw contents, which is all that the client sends.
for datatype in numeric:
    value = np.array([[0, 1], [1, 0]], dtype=triton_to_np_dtype(datatype))
    if datatype.startswith("FP"):
        value[0, 0] = np.nan
    answer = client.infer(f"identity-{datatype}", [tensor("x", datatype, value)], request_id="r")
    got = answer.as_numpy("y")
    np.testing.assert_array_equal(got, value)
    assert got.dtype == value.dtype and answer.get_response().id == "r"
extremes = np.array([[2**63 - 1, -(2**63)]], dtype=np.int64)
np.testing.assert_array_equal(client.infer("identity-INT64", [tensor("x", "INT64", extremes)]).as_numpy("y"), extremes)
words = np.array([["a", "é"], ["", "\U0001f600"]], dtype=object)
got = client.infer("identity-BYTES", [tensor("x", "BYTES", words)]).as_numpy("y")
assert [[word.decode() for word in row] for row in got] == words.tolist()

# No rows at all.
for datatype in [*numeric, "BYTES"]:
    value = np.zeros([0, 2], dtype=object if datatype == "BYTES" else triton_to_np_dtype(datatype))
    got = client.infer(f"identity-{datatype}", [tensor("x", datatype, value)]).as_numpy("y")
    assert got.size == 0, datatype

# Typed contents, over the client's own generated stub.
typed = {
    "BOOL": ("bool_contents", [True, False]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 65535]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "INT8": ("int_contents", [-128, 127]),
    "INT16": ("int_contents", [-32768, 32767]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
    "FP32": ("fp32_contents", [0.5, float("inf")]),
    "FP64": ("fp64_contents", [0.1, float("-inf")]),
    "BYTES": ("bytes_contents", [b"a", "é".encode()]),
}
for datatype, (field, values) in typed.items():
    request = service_pb2.ModelInferRequest(model_name=f"identity-{datatype}")
    getattr(request.inputs.add(name="x", datatype=datatype, shape=[1, 2]).contents, field).extend(values)
    answer = client._client_stub.ModelInfer(request)
    assert list(getattr(answer.outputs[0].contents, field)) == values, datatype
    assert len(answer.raw_output_contents) == 0

# BF16 has no model here that could take it.
half = triton.InferInput("x", [1, 2], "BF16")
half.set_data_from_numpy(np.array([[1, 2]], dtype=np.float32))
status, message = refused("identity-FP32", [half])
assert status == "StatusCode.INVALID_ARGUMENT" and "got BF16" in message, message

# Several inputs, several outputs, of different kinds, in another order than the model's.
inputs = [
    tensor("words", "BYTES", np.array([["a"], ["b"]], dtype=object)),
    tensor("x", "FP32", np.array([[1], [2]], dtype=np.float32)),
    tensor("n", "INT64", np.array([[10], [20]], dtype=np.int64)),
]
answer = client.infer("several", inputs, outputs=[triton.InferRequestedOutput(name) for name in ["said", "sum"]])
assert [output.name for output in answer.get_response().outputs] == ["said", "sum"]
np.testing.assert_array_equal(answer.as_numpy("sum"), np.array([[11], [22]], dtype=np.float32))
assert answer.as_numpy("said").ravel().tolist() == [b"a", b"b"]
assert {output.name for output in client.infer("several", inputs).get_response().outputs} == {"sum", "said", "count"}

# The highest classes in place of the values.
scores = np.array([[0.1, 0.7, 0.2], [3, 1, 2]], dtype=np.float32)
answer = client.infer("classes", [tensor("x", "FP32", scores)], outputs=[triton.InferRequestedOutput("y", class_count=2)])
named = answer.as_numpy("y")
assert named.shape == (2, 2) and named[0].tolist() == [b"0.700000:1", b"0.200000:2"], named
assert named[1].tolist() == [b"3.000000:0", b"2.000000:2"], named

# Compressed requests.
for algorithm in ["gzip", "deflate"]:
    answer = client.infer("scale", [floats(range(100))], compression_algorithm=algorithm)
    np.testing.assert_array_equal(answer.as_numpy("y").ravel(), 3 * np.arange(100, dtype=np.float32))

# Priority, time in the queue, a sequence that no model here has, and a parameter of the caller's own.
answer = client.infer(
    "scale", [floats([1])], priority=1, timeout=5_000_000, sequence_id=7, sequence_start=True, parameters={"mine": "a"}
)
assert answer.as_numpy("y").ravel().tolist() == [3]
status, message = refused("scale", [floats([1])], client_timeout=0.000001)
assert status == "StatusCode.DEADLINE_EXCEEDED", status
np.testing.assert_array_equal(
    client.infer("scale", [floats([2])], client_timeout=30, headers={"traceparent": f"00-{1:032x}-{1:016x}-01"}).as_numpy("y"),
    [[6]],
)

status, message = refused("nobody", [floats([1])])
assert status == "StatusCode.NOT_FOUND", status
status, message = refused("scale", [tensor("x", "FP32", np.zeros((1, 2), np.float32))])
assert status == "StatusCode.INVALID_ARGUMENT" and "x.shape: expected [-1, 1], got [1, 2]" in message, message
request = service_pb2.ModelInferRequest(model_name="scale")
request.parameters["triton_unknown"].bool_param = True
try:
    client._client_stub.ModelInfer(request)
    raise AssertionError("a reserved parameter was taken")
except Exception as error:
    assert "parameters.triton_unknown" in str(error.details()), error
