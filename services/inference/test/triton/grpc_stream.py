"""Inference over a gRPC stream with callbacks: order, an error in between, the mark of the last answer, cancellation."""

import queue
import sys

import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])
results = queue.Queue()


def floats(values):
    made = triton.InferInput("x", [len(values), 1], "FP32")
    made.set_data_from_numpy(np.array(values, dtype=np.float32).reshape(-1, 1))
    return [made]


def callback(result, error):
    results.put((result, error))


client.start_stream(callback)
client.async_stream_infer("scale", floats([1]), request_id="1", enable_empty_final_response=True)
client.async_stream_infer("nobody", floats([1]), request_id="2")
client.async_stream_infer("scale", floats([2, 3]), request_id="3", priority=1, timeout=1_000_000)
seen = [results.get(timeout=30) for _ in range(3)]
result, error = seen[0]
assert error is None and result.as_numpy("y").ravel().tolist() == [3]
response = result.get_response()
assert response.id == "1" and response.model_version == "1"
assert response.parameters["triton_final_response"].bool_param is True
# With an error the client hands over no result: the stream goes on all the same.
result, error = seen[1]
assert "no model nobody" in error.message(), error
result, error = seen[2]
assert error is None and result.as_numpy("y").ravel().tolist() == [6, 9] and result.get_response().id == "3"

for value in range(2000):
    client.async_stream_infer("scale", floats([value]), request_id=str(value))
for value in range(2000):
    result, error = results.get(timeout=30)
    assert error is None and result.get_response().id == str(value)
    assert result.as_numpy("y")[0, 0] == 3 * value
client.stop_stream()

client.start_stream(callback, compression_algorithm="gzip")
client.async_stream_infer("scale", floats([5]))
assert results.get(timeout=30)[0].as_numpy("y").ravel().tolist() == [15]
client.stop_stream(cancel_requests=True)
