"""Puts the preparation before a trained ONNX graph, so that the model takes raw features."""

from __future__ import annotations

from typing import Literal

import onnx
from onnx import TensorProto, compose, helper, shape_inference, version_converter

from millrace_trainer.preparation import Preparation

OutputIs = Literal["probability", "logit", "estimate"]

# LabelEncoder has its typed attributes from 2 on; the operators that are used here are the same from 13 on.
OLDEST_OPSET = 13
OLDEST_ML_OPSET = 3


def merge(model: onnx.ModelProto, preparation: Preparation, output: str | None, output_is: OutputIs) -> onnx.ModelProto:
    """The model behind its preparation, with one output of shape [rows, 1].

    Raises:
        ValueError: the model has several inputs, or no output that can be told to be the answer.
    """
    model = _with_opsets(model)
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initializers]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise ValueError(f"expected a model with one input, the matrix of the preparation; got {names}")
    chosen = _answer(model, output)
    # Names of its own, so that no feature is called as a value of the trained graph is.
    graph = compose.add_prefix_graph(model.graph, "trained_")
    before_inputs, before_initializers, before_nodes, matrix = preparation.nodes()
    nodes = [*before_nodes, helper.make_node("Identity", [matrix], [f"trained_{inputs[0].name}"]), *graph.node]
    answer, more = _one_column(f"trained_{chosen.name}", chosen, output_is)
    name = "estimate" if output_is == "estimate" else "probability"
    nodes += [*more, helper.make_node("Identity", [answer], [name])]
    merged = helper.make_graph(
        nodes,
        model.graph.name or "model",
        before_inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1])],
        [*before_initializers, *graph.initializer, *(tensor for tensor in CONSTANTS if _is_read(tensor, nodes))],
    )
    made = helper.make_model(merged, opset_imports=model.opset_import, functions=model.functions)
    made.ir_version = min(max(model.ir_version, 8), 10)
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    onnx.checker.check_model(made)
    return made


def _with_opsets(model: onnx.ModelProto) -> onnx.ModelProto:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions.get("", OLDEST_OPSET) < OLDEST_OPSET:
        model = version_converter.convert_version(model, OLDEST_OPSET)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    versions = {entry.domain: entry.version for entry in made.opset_import}
    versions[""] = max(versions.get("", 0), OLDEST_OPSET)
    versions["ai.onnx.ml"] = max(versions.get("ai.onnx.ml", 0), OLDEST_ML_OPSET)
    del made.opset_import[:]
    made.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())
    return made


def _answer(model: onnx.ModelProto, name: str | None) -> onnx.ValueInfoProto:
    """The named output, or the only one that is floating point: classifiers also answer the label."""
    outputs = [value for value in model.graph.output if name is None or value.name == name]
    floats = (TensorProto.FLOAT, TensorProto.DOUBLE)
    found = [value for value in outputs if value.type.tensor_type.elem_type in floats]
    if len(found) != 1:
        have = ", ".join(value.name for value in model.graph.output)
        raise ValueError(
            f"expected one output of floating point, got {len(found)} of {have}; "
            "name it with output=…, and convert classifiers with zipmap=False",
        )
    inferred = {value.name: value for value in shape_inference.infer_shapes(model).graph.output}
    return inferred.get(found[0].name, found[0])


def _one_column(name: str, value: onnx.ValueInfoProto, output_is: OutputIs) -> tuple[str, list[onnx.NodeProto]]:
    tensor = value.type.tensor_type
    nodes: list[onnx.NodeProto] = []
    if tensor.elem_type == TensorProto.DOUBLE:
        nodes.append(helper.make_node("Cast", [name], ["millrace_float"], to=TensorProto.FLOAT))
        name = "millrace_float"
    sizes = [size.dim_value for size in tensor.shape.dim]
    if len(sizes) == 2 and sizes[1] == 2:
        # Of two classes, the second is the one that the label says.
        nodes.append(helper.make_node("Gather", [name, "millrace_second"], ["millrace_positive"], axis=1))
        name = "millrace_positive"
    elif len(sizes) == 2 and sizes[1] > 2:
        raise ValueError(f"expected an output of one or two columns, got {sizes[1]}: several classes are not served")
    nodes.append(helper.make_node("Reshape", [name, "millrace_column"], ["millrace_answer"]))
    name = "millrace_answer"
    if output_is == "logit":
        nodes.append(helper.make_node("Sigmoid", [name], ["millrace_probability"]))
        name = "millrace_probability"
    return name, nodes


CONSTANTS = (
    helper.make_tensor("millrace_second", TensorProto.INT64, [1], [1]),
    helper.make_tensor("millrace_column", TensorProto.INT64, [2], [-1, 1]),
)


def _is_read(tensor: onnx.TensorProto, nodes: list[onnx.NodeProto]) -> bool:
    return any(tensor.name in node.input for node in nodes)
