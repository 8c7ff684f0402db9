"""Inference over gRPC with asyncio, and with the client's own threads."""

import asyncio
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio


def floats(values):
    made = triton.InferInput("x", [len(values), 1], "FP32")
    made.set_data_from_numpy(np.array(values, dtype=np.float32).reshape(-1, 1))
    return [made]


async def main():
    async with aio.InferenceServerClient(sys.argv[1]) as client:
        assert await client.is_server_ready() and await client.is_model_ready("scale")
        answers = await asyncio.gather(*(client.infer("scale", floats([value])) for value in range(64)))
        assert [answer.as_numpy("y")[0, 0] for answer in answers] == [3 * value for value in range(64)]

        async def requests():
            for name in ["scale", "nobody", "scale"]:
                yield {"model_name": name, "inputs": floats([2]), "request_id": name}

        seen = []
        async for result, error in client.stream_infer(requests()):
            seen.append(error.message() if error is not None else float(result.as_numpy("y")[0, 0]))
        assert seen[0] == seen[2] == 6 and "no model nobody" in seen[1], seen


asyncio.run(main())

client = triton.InferenceServerClient(sys.argv[1])
results = queue.Queue()
calls = [
    client.async_infer("scale", floats([value]), lambda result, error: results.put((result, error))) for value in range(32)
]
got = [results.get(timeout=30) for _ in calls]
assert all(error is None for _, error in got)
assert sorted(result.as_numpy("y")[0, 0] for result, _ in got) == [3 * value for value in range(32)]
