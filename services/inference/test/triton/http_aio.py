"""Inference over REST with asyncio."""

import asyncio
import sys

import numpy as np
import tritonclient.http.aio as triton
from tritonclient.utils import InferenceServerException


def floats(values, binary=True):
    made = triton.InferInput("x", [len(values), 1], "FP32")
    made.set_data_from_numpy(np.array(values, dtype=np.float32).reshape(-1, 1), binary_data=binary)
    return [made]


async def main():
    async with triton.InferenceServerClient(sys.argv[2]) as client:
        assert await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready("scale")
        assert (await client.get_model_metadata("scale"))["name"] == "scale"
        calls = (client.infer("scale", floats([value], value % 2 == 0)) for value in range(64))
        answers = await asyncio.gather(*calls)
        assert [answer.as_numpy("y")[0, 0] for answer in answers] == [3 * value for value in range(64)]
        for algorithm in ["gzip", "deflate"]:
            answer = await client.infer(
                "scale",
                floats(range(128)),
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
            assert answer.as_numpy("y").ravel().tolist() == [3 * value for value in range(128)]
        try:
            await client.infer("nobody", floats([1]))
            raise AssertionError("an unknown model answered")
        except InferenceServerException as error:
            assert error.status() == "404" and "no model nobody" in error.message()


asyncio.run(main())
