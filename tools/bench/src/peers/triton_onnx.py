"""An ONNX model in Triton's Python backend: the requests that Triton hands over together are run as one batch."""

import json
import os
import site

# The program that PyTriton ships for its Python backend looks in no virtual environment and at no PYTHONPATH.
site.addsitedir(os.environ["BENCH_SITE_PACKAGES"])

import numpy  # noqa: E402
import onnxruntime  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = config["input"][0]["name"]
        self._output = config["output"][0]["name"]

    def execute(self, requests):
        rows = [triton.get_input_tensor_by_name(request, self._input).as_numpy() for request in requests]
        joined = rows[0] if len(rows) == 1 else numpy.concatenate(rows)
        (values,) = self._session.run([self._output], {self._input: joined})
        responses = []
        first = 0
        for own in rows:
            last = first + len(own)
            responses.append(triton.InferenceResponse([triton.Tensor(self._output, values[first:last])]))
            first = last
        return responses
