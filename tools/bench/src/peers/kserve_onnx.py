"""KServe's Python server with ONNX models: `kserve_onnx.py GRPC_PORT HTTP_PORT NAME=FILE ...`."""

import sys

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class OnnxModel(Model):
    def __init__(self, name: str, path: str):
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.ready = True

    async def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        inputs = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        outputs = []
        for name, value in zip(self._outputs, self._session.run(self._outputs, inputs)):
            output = InferOutput(name, list(value.shape), "FP32")
            output.set_data_from_numpy(value, binary_data=True)
            outputs.append(output)
        return InferResponse(payload.id, self.name, outputs)


if __name__ == "__main__":
    grpc_port, http_port, *models = sys.argv[1:]
    ModelServer(http_port=int(http_port), grpc_port=int(grpc_port), enable_docs_url=False).start(
        [OnnxModel(*model.split("=", 1)) for model in models]
    )
