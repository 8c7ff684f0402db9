"""System shared memory, over gRPC and over REST: the client's own module makes the regions."""

import os
import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

value = np.array([[1], [2], [3]], dtype=np.float32)
key = f"millrace-test-{os.getpid()}"


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
    region = shm.create_shared_memory_region("region", key, 64)
    try:
        shm.set_shared_memory_region(region, [value])
        client.register_system_shared_memory("region", key, 64)
        assert "that is not registered" in refused(client.register_system_shared_memory, "region", key, 64)
        status = client.get_system_shared_memory_status()
        names = [each["name"] for each in status] if triton is http else list(status.regions)
        assert names == ["region"], status

        given = triton.InferInput("x", [3, 1], "FP32")
        given.set_shared_memory("region", value.nbytes)
        wanted = triton.InferRequestedOutput("y")
        wanted.set_shared_memory("region", value.nbytes, offset=32)
        answer = client.infer("scale", [given], outputs=[wanted])
        output = answer.get_output("y")
        got = shm.get_contents_as_numpy(region, np.float32, [3, 1], 32)
        np.testing.assert_array_equal(got, 3 * value)
        parameters = output["parameters"] if triton is http else output.parameters
        size = parameters["shared_memory_byte_size"]
        assert (size if triton is http else size.int64_param) == value.nbytes, parameters

        # Its answer in the response, and its input in the request.
        np.testing.assert_array_equal(client.infer("scale", [given]).as_numpy("y"), 3 * value)
        carried = triton.InferInput("x", [3, 1], "FP32")
        carried.set_data_from_numpy(2 * value)
        client.infer("scale", [carried], outputs=[wanted])
        np.testing.assert_array_equal(shm.get_contents_as_numpy(region, np.float32, [3, 1], 32), 6 * value)

        wanted.set_shared_memory("region", 8, offset=32)
        assert "at least the 12 bytes" in refused(client.infer, "scale", [given], outputs=[wanted])
        given.set_shared_memory("region", 12, offset=60)
        assert "within the 64 bytes of the region" in refused(client.infer, "scale", [given])
        given.set_shared_memory("elsewhere", 12)
        assert "expected a registered region" in refused(client.infer, "scale", [given])
        assert "without a path" in refused(client.register_system_shared_memory, "a", "../../etc/passwd", 1)
        assert "ENOENT" in refused(client.register_system_shared_memory, "a", key + "-none", 1)
        assert "within the 64 bytes" in refused(client.register_system_shared_memory, "a", key, 65)

        client.unregister_system_shared_memory("region")
        given.set_shared_memory("region", 12)
        assert "expected a registered region" in refused(client.infer, "scale", [given])
        client.unregister_system_shared_memory()
    finally:
        shm.destroy_shared_memory_region(region)
