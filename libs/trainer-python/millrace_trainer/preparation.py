"""Raw features as one matrix of float32, in NumPy for training and in ONNX for serving, with the same values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from onnx import TensorProto, helper

if TYPE_CHECKING:
    import pandas

    from millrace_trainer.dataset import Feature

Numbers = Literal["raw", "standardize"]
Strings = Literal["one_hot", "ordinal"]

ELEMENT_TYPES = {
    "BOOL": TensorProto.BOOL,
    "INT64": TensorProto.INT64,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


@dataclass(frozen=True)
class Preparation:
    """How each feature becomes columns of the matrix. Calling it prepares rows; `nodes` is the same in ONNX."""

    features: tuple[Feature, ...]
    numbers: Numbers
    strings: Strings

    @property
    def width(self) -> int:
        """The number of the matrix's columns."""
        return sum(self._width_of(feature) for feature in self.features)

    @property
    def columns(self) -> list[str]:
        """A name for each column of the matrix, for importances and plots."""
        names: list[str] = []
        for feature in self.features:
            if self._is_one_hot(feature):
                names += [f"{feature.name}={category}" for category in feature.categories] + [f"{feature.name}=other"]
            else:
                names.append(feature.name)
        return names

    @property
    def categorical_columns(self) -> list[int]:
        """The places of columns that hold the number of a category (`strings="ordinal"`)."""
        return [
            place
            for place, feature in enumerate(self.features)
            if self.strings == "ordinal" and feature.datatype == "BYTES"
        ]

    def __call__(self, rows: pandas.DataFrame) -> np.ndarray:
        """Prepares rows: [rows, width] of float32. A number's null is NaN, with `numbers="standardize"` the mean."""
        parts = [self._matrix_of(feature, rows[feature.name]) for feature in self.features]
        return np.concatenate(parts, axis=1)

    def nodes(self) -> tuple[list[Any], list[Any], list[Any], str]:
        """The graph's inputs, initializers and nodes, and the name of the matrix that they make."""
        inputs, initializers, nodes, parts = [], [], [], []
        for place, feature in enumerate(self.features):
            inputs.append(
                helper.make_tensor_value_info(feature.name, ELEMENT_TYPES[feature.datatype], ["rows", 1]),
            )
            prefix = f"millrace_{place}"
            parts.append(self._nodes_of(feature, prefix, nodes, initializers))
        nodes.append(helper.make_node("Concat", parts, ["millrace_matrix"], axis=1))
        return inputs, initializers, nodes, "millrace_matrix"

    def _is_one_hot(self, feature: Feature) -> bool:
        return self.strings == "one_hot" and feature.datatype == "BYTES"

    def _width_of(self, feature: Feature) -> int:
        return len(feature.categories) + 1 if self._is_one_hot(feature) else 1

    def _matrix_of(self, feature: Feature, values: pandas.Series) -> np.ndarray:
        if feature.datatype == "BYTES":
            places = {category: place for place, category in enumerate(feature.categories)}
            found = np.array([places.get(value, len(places)) for value in values], dtype=np.int64)
            if self.strings == "one_hot":
                return np.eye(len(places) + 1, dtype=np.float32)[found]
            return found.astype(np.float32)[:, None]
        numbers = values.astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
        if feature.datatype == "FP32":
            numbers = numbers.astype(np.float32).astype(np.float64)
        if self.numbers == "standardize" and feature.deviation is not None:
            numbers = (numbers - feature.mean) / feature.deviation
        if self.numbers == "standardize":
            numbers = np.where(np.isfinite(numbers), numbers, 0)
        return numbers.astype(np.float32)[:, None]

    def _nodes_of(self, feature: Feature, prefix: str, nodes: list[Any], initializers: list[Any]) -> str:
        def add(operator: str, inputs: list[str], **attributes: Any) -> str:
            name = f"{prefix}_{len(nodes)}"
            nodes.append(helper.make_node(operator, inputs, [name], **attributes))
            return name

        def constant(kind: int, shape: list[int], values: list[Any]) -> str:
            name = f"{prefix}_constant_{len(initializers)}"
            initializers.append(helper.make_tensor(name, kind, shape, values))
            return name

        if feature.datatype == "BYTES":
            unknown = len(feature.categories)
            place = add(
                "LabelEncoder",
                [feature.name],
                domain="ai.onnx.ml",
                keys_strings=list(feature.categories),
                values_int64s=list(range(unknown)),
                default_int64=unknown,
            )
            if self.strings == "ordinal":
                return add("Cast", [place], to=TensorProto.FLOAT)
            depth = constant(TensorProto.INT64, [1], [unknown + 1])
            off_on = constant(TensorProto.FLOAT, [2], [0.0, 1.0])
            encoded = add("OneHot", [place, depth, off_on], axis=-1)
            return add("Reshape", [encoded, constant(TensorProto.INT64, [2], [-1, unknown + 1])])
        number = add("Cast", [feature.name], to=TensorProto.DOUBLE)
        if self.numbers == "standardize":
            if feature.deviation is not None:
                number = add("Sub", [number, constant(TensorProto.DOUBLE, [1], [feature.mean])])
                number = add("Div", [number, constant(TensorProto.DOUBLE, [1], [feature.deviation])])
            # Neither NaN nor infinite: what is less infinity than it is away from itself.
            is_nan = add("IsNaN", [number])
            is_infinite = add("IsInf", [add("Cast", [number], to=TensorProto.FLOAT)])
            zero = constant(TensorProto.DOUBLE, [1], [0.0])
            number = add("Where", [add("Or", [is_nan, is_infinite]), zero, number])
        return add("Cast", [number], to=TensorProto.FLOAT)
