"""The preparation in NumPy and in ONNX gives the same matrix, for whatever rows come."""

import json
import os
import random
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas
from millrace_trainer import load
from millrace_trainer.dataset import Feature
from millrace_trainer.preparation import Preparation
from onnx import TensorProto, helper

SEED = int(os.environ.get("MILLRACE_SEED", random.randrange(2**31)))

FEATURES = (
    Feature("distance", "FP64", (), 700.5, 480.25),
    Feature("short", "FP32", (), -3.0, 0.5),
    Feature("hour", "INT64", (), 11.5, 6.9),
    Feature("weekend", "BOOL", (), None, None),
    Feature("maybe", "FP64", (), None, None),
    Feature("carrier", "BYTES", ("AA", "Zürich", "UA"), None, None),
    Feature("one", "BYTES", ("x",), None, None),
)


def rows_of(generator: random.Random, count: int) -> pandas.DataFrame:
    def some(*values: object) -> list[object]:
        return [generator.choice(values) for _ in range(count)]

    numbers = [generator.uniform(-1e6, 1e6), None, float("nan"), float("inf"), float("-inf"), 0.1, -0.0]
    return pandas.DataFrame(
        {
            "distance": pandas.Series(some(*numbers), dtype="float64"),
            "short": pandas.Series(some(*numbers), dtype="float64"),
            "hour": pandas.Series(some(0, 23, -(2**40), 7), dtype="int64"),
            "weekend": pandas.Series(some(True, False), dtype="bool"),
            "maybe": pandas.Series(some(True, False, None), dtype="object"),
            "carrier": some("AA", "Zürich", "UA", "unseen", "", None),
            "one": some("x", "y", None),
        },
    )


def tensors_of(rows: pandas.DataFrame) -> dict[str, np.ndarray]:
    """As the platform fills the inputs: a null is NaN, of text the empty string."""
    kinds = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64, "BOOL": np.bool_}

    def tensor(feature: Feature) -> np.ndarray:
        values = rows[feature.name]
        if feature.datatype == "BYTES":
            return np.array([value or "" for value in values], dtype=object)[:, None]
        if feature.datatype in ("INT64", "BOOL"):
            return values.to_numpy(dtype=kinds[feature.datatype])[:, None]
        return values.astype("float64").to_numpy(na_value=np.nan).astype(kinds[feature.datatype])[:, None]

    return {feature.name: tensor(feature) for feature in FEATURES}


class PreparationTest(unittest.TestCase):
    def test_gives_the_same_matrix_in_numpy_and_in_onnx(self) -> None:
        generator = random.Random(SEED)
        for numbers in ("raw", "standardize"):
            for strings in ("one_hot", "ordinal"):
                prepare = Preparation(FEATURES, numbers, strings)
                inputs, initializers, nodes, matrix = prepare.nodes()
                output = helper.make_tensor_value_info(matrix, TensorProto.FLOAT, ["rows", prepare.width])
                graph = helper.make_graph(nodes, "preparation", inputs, [output], initializers)
                opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 3)]
                model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
                onnx.checker.check_model(model)
                session = onnxruntime.InferenceSession(model.SerializeToString())
                for count in (1, 2, 500):
                    rows = rows_of(generator, count)
                    expected = prepare(rows)
                    self.assertEqual(expected.shape, (count, len(prepare.columns)))
                    found = session.run(None, tensors_of(rows))[0]
                    np.testing.assert_array_equal(found, expected, err_msg=f"{numbers} {strings}, seed {SEED}")

    def test_names_the_columns_of_categories(self) -> None:
        prepare = Preparation(FEATURES, "raw", "ordinal")
        self.assertEqual([prepare.columns[place] for place in prepare.categorical_columns], ["carrier", "one"])
        self.assertEqual(
            Preparation(FEATURES[5:], "raw", "one_hot").columns,
            ["carrier=AA", "carrier=Zürich", "carrier=UA", "carrier=other", "one=x", "one=other"],
        )


class DatasetTest(unittest.TestCase):
    def dataset(self, folder: str, task: str = "BINARY"):
        described = {
            "task": task,
            "seed": 7,
            "snapshotId": "s",
            "features": [
                {
                    "name": "label",
                    "datatype": "FP64",
                    "preparation": {"kind": "standardize", "mean": 0.0, "deviation": 1.0, "log1p": False},
                },
            ],
        }
        (Path(folder) / "dataset.json").write_text(json.dumps(described))
        for name in ("MILLRACE_DATASET", "MILLRACE_OUTPUT", "MILLRACE_CHECKPOINT"):
            os.environ[name] = folder
        os.environ["MILLRACE_SPEC"] = '{"name": "delay"}'
        return load()

    def model(self, outputs: list[tuple[str, int, list]]) -> onnx.ModelProto:
        matrix = helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["rows", 1])
        values = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs]
        nodes = [helper.make_node("Cast", ["matrix"], [name], to=kind) for name, kind, _shape in outputs]
        graph = helper.make_graph(nodes, "trained", [matrix], values)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def test_says_what_does_not_fit(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            data = self.dataset(folder)
            with self.assertRaisesRegex(ValueError, "expected one of label, got distanse"):
                data.prepare(only=["distanse"])
            three = self.model([("probabilities", TensorProto.FLOAT, ["rows", 3])])
            with self.assertRaisesRegex(ValueError, "one or two columns, got 3"):
                data.save(three, data.prepare())
            several = self.model([("a", TensorProto.FLOAT, ["rows", 1]), ("b", TensorProto.FLOAT, ["rows", 1])])
            with self.assertRaisesRegex(ValueError, "got 2 of a, b; name it with output="):
                data.save(several, data.prepare())
            data.save(several, data.prepare(), output="b", output_is="logit", metrics={"auc": np.float32(0.5)})
            saved = onnx.load(Path(folder) / "model.onnx")
            self.assertEqual([value.name for value in saved.graph.input], ["label"])
            self.assertEqual([value.name for value in saved.graph.output], ["probability"])
            session = onnxruntime.InferenceSession(saved.SerializeToString())
            answer = session.run(None, {"label": np.array([[0.0], [np.inf]])})[0]
            np.testing.assert_allclose(answer, [[0.5], [1.0]])
            self.assertEqual(json.loads((Path(folder) / "metrics.json").read_text()), {"auc": 0.5})

    def test_is_nothing_without_a_run(self) -> None:
        for name in ("MILLRACE_DATASET", "MILLRACE_SPEC"):
            os.environ.pop(name, None)
        with self.assertRaisesRegex(RuntimeError, "MILLRACE_DATASET, .*MILLRACE_SPEC not set"):
            load()


if __name__ == "__main__":
    unittest.main()
