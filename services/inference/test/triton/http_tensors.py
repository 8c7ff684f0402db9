"""Inference over REST: JSON and bytes in every datatype, and what requests may ask for."""

import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

client = triton.InferenceServerClient(sys.argv[2], concurrency=8)
numeric = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"]


def tensor(name, datatype, value, binary=True):
    made = triton.InferInput(name, list(value.shape), datatype)
    made.set_data_from_numpy(value, binary_data=binary)
    return made


def floats(values, binary=True):
    return tensor("x", "FP32", np.array(values, dtype=np.float32).reshape(-1, 1), binary)


def asked(name="y", **named):
    return [triton.InferRequestedOutput(name, **named)]


def refused(*arguments, **named):
    try:
        client.infer(*arguments, **named)
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError("the request was not refused")


for datatype in numeric:
    value = np.array([[0, 1], [1, 0]], dtype=triton_to_np_dtype(datatype))
    if datatype in ["FP32", "FP64"]:
        value[0] = [np.nan, -np.inf]
    if datatype in ["INT64", "UINT64"]:
        value[0, 0] = np.iinfo(value.dtype).max
    for binary_in in [True, False]:
        for binary_out in [True, False]:
            # FP16 has no form in JSON, and the client refuses to write one.
            if datatype == "FP16" and not (binary_in and binary_out):
                continue
            answer = client.infer(
                f"identity-{datatype}",
                [tensor("x", datatype, value, binary_in)],
                outputs=asked(binary_data=binary_out),
                request_id="r",
            )
            got = answer.as_numpy("y")
            np.testing.assert_array_equal(got, value)
            assert got.dtype == value.dtype and answer.get_response()["id"] == "r"
            assert ("data" in answer.get_output("y")) == (not binary_out)
status, message = refused("identity-FP16", [tensor("x", "FP16", np.zeros((1, 2), np.float16))], outputs=asked(binary_data=False))
assert status == "400" and "FP16" in message, message

words = np.array([["a", "é"], ["", "\U0001f600"]], dtype=object)
for binary_in in [True, False]:
    for binary_out in [True, False]:
        got = client.infer(
            "identity-BYTES", [tensor("x", "BYTES", words, binary_in)], outputs=asked(binary_data=binary_out)
        ).as_numpy("y")
        assert [word.decode() if isinstance(word, bytes) else word for word in got.ravel()] == words.ravel().tolist()

for binary in [True, False]:
    empty = client.infer("scale", [floats([], binary)], outputs=asked(binary_data=binary)).as_numpy("y")
    assert empty.shape == (0, 1)

half = triton.InferInput("x", [1, 2], "BF16")
half.set_data_from_numpy(np.array([[1, 2]], dtype=np.float32))
status, message = refused("identity-FP32", [half])
assert status == "400" and "got BF16" in message, message

inputs = [
    tensor("words", "BYTES", np.array([["a"], ["b"]], dtype=object), False),
    tensor("x", "FP32", np.array([[1], [2]], dtype=np.float32)),
    tensor("n", "INT64", np.array([[10], [20]], dtype=np.int64)),
]
outputs = [*asked("said", binary_data=False), *asked("sum", binary_data=True)]
answer = client.infer("several", inputs, outputs=outputs)
assert [output["name"] for output in answer.get_response()["outputs"]] == ["said", "sum"]
np.testing.assert_array_equal(answer.as_numpy("sum"), np.array([[11], [22]], dtype=np.float32))
assert answer.as_numpy("said").ravel().tolist() == ["a", "b"]

scores = np.array([[0.1, 0.7, 0.2], [3, 1, 2]], dtype=np.float32)
for binary in [True, False]:
    named = client.infer("classes", [tensor("x", "FP32", scores)], outputs=asked(class_count=2, binary_data=binary)).as_numpy("y")
    texts = [[word.decode() if isinstance(word, bytes) else word for word in row] for row in named]
    assert texts == [["0.700000:1", "0.200000:2"], ["3.000000:0", "2.000000:2"]], texts

many = np.arange(128 * 2, dtype=np.float32).reshape(128, 2)
for inwards in [None, "gzip", "deflate"]:
    for outwards in [None, "gzip", "deflate"]:
        for binary in [True, False]:
            answer = client.infer(
                "identity-FP32",
                [tensor("x", "FP32", many, binary)],
                outputs=asked(binary_data=binary),
                request_compression_algorithm=inwards,
                response_compression_algorithm=outwards,
            )
            np.testing.assert_array_equal(answer.as_numpy("y"), many)

answer = client.infer("scale", [floats([1])], priority=1, timeout=5_000_000, sequence_id=7, parameters={"mine": 1.5})
assert answer.as_numpy("y").ravel().tolist() == [3]
assert client.infer("scale", [floats([2])], model_version="1", query_params={"a": 1}).as_numpy("y").ravel().tolist() == [6]
calls = [client.async_infer("scale", [floats([value])]) for value in range(32)]
assert [call.get_result().as_numpy("y")[0, 0] for call in calls] == [3 * value for value in range(32)]

assert refused("nobody", [floats([1])])[0] == "404"
assert refused("scale", [floats([1])], model_version="9")[0] == "404"
status, message = refused("scale", [tensor("x", "FP32", np.zeros((1, 2), np.float32))])
assert status == "400" and message == "x.shape: expected [-1, 1], got [1, 2].", message
