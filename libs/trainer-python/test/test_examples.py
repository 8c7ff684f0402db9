"""The examples, as a run starts them: what they leave answers in onnxruntime as the library's own model does."""

import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnxruntime
import pandas

SEED = int(os.environ.get("MILLRACE_SEED", random.randrange(2**31)))
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

# Appended to an example: what its own model says of the validation rows, beside what it has left.
TELL = """
import numpy
if hasattr(model, "predict_proba"):
    told = model.predict_proba(prepare(data.validation.features))[:, 1]
else:
    told = model.predict(prepare(data.validation.features))
numpy.save(__import__("os").environ["MILLRACE_OUTPUT"] + "/told.npy", told)
"""
TELL_TORCH = """
import numpy
answers = network(torch.from_numpy(prepare(data.validation.features)))
told = (torch.sigmoid(answers) if is_binary else answers).detach().numpy().ravel()
numpy.save(__import__("os").environ["MILLRACE_OUTPUT"] + "/told.npy", told)
"""


def write_dataset(folder: Path, task: str) -> None:
    generator = np.random.default_rng(SEED)

    def rows(count: int) -> pandas.DataFrame:
        distance = generator.uniform(0, 2500, count)
        hour = generator.integers(0, 24, count)
        carrier = generator.choice(["AA", "DL", "UA", "rare"], count, p=[0.4, 0.3, 0.29, 0.01])
        delay = hour * 2 + distance / 100 + (carrier == "UA") * 15 + generator.normal(0, 10, count)
        return pandas.DataFrame(
            {
                "distance": np.where(generator.random(count) < 0.1, np.nan, distance),
                "hour": hour,
                "carrier": np.where(generator.random(count) < 0.05, None, carrier),
                "event_time": pandas.Timestamp("2001-01-01", tz="UTC"),
                "label": (delay > 45).astype(float) if task == "BINARY" else delay,
            },
        )

    rows(2000).to_parquet(folder / "train.parquet")
    rows(500).to_parquet(folder / "validation.parquet")
    rows(500).drop(columns=["label", "event_time"]).to_parquet(folder / "test.parquet")
    standardize = {"kind": "standardize", "log1p": False}
    described = {
        "task": task,
        "seed": 7,
        "snapshotId": "s",
        "features": [
            {"name": "distance", "datatype": "FP64", "preparation": {**standardize, "mean": 1250, "deviation": 720}},
            {"name": "hour", "datatype": "INT64", "preparation": {**standardize, "mean": 11.5, "deviation": 6.9}},
            {"name": "carrier", "datatype": "BYTES", "preparation": {"kind": "one-hot", "categories": ["AA", "DL", "UA"]}},
        ],
    }
    (folder / "dataset.json").write_text(json.dumps(described))


class ExamplesTest(unittest.TestCase):
    def run_example(self, name: str, task: str, tell: str = TELL) -> tuple[str, np.ndarray, np.ndarray]:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            write_dataset(folder, task)
            program = (EXAMPLES / name).read_text() + tell
            names = ("MILLRACE_DATASET", "MILLRACE_OUTPUT", "MILLRACE_CHECKPOINT")
            environment = {**os.environ, **dict.fromkeys(names, text), "MILLRACE_SPEC": "{}"}
            ended = subprocess.run(
                [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False,
            )
            self.assertEqual(ended.returncode, 0, ended.stderr)
            rows = pandas.read_parquet(folder / "validation.parquet")
            session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
            self.assertEqual([value.name for value in session.get_inputs()], ["distance", "hour", "carrier"])
            answer = session.run(
                None,
                {
                    "distance": rows[["distance"]].to_numpy(),
                    "hour": rows[["hour"]].to_numpy(),
                    "carrier": np.array([value or "" for value in rows["carrier"]], dtype=object)[:, None],
                },
            )[0]
            self.assertEqual(answer.shape, (500, 1))
            return ended.stdout, answer[:, 0], np.load(folder / "told.npy")

    def test_lightgbm(self) -> None:
        for task in ("BINARY", "REGRESSION"):
            output, answer, told = self.run_example("train_lightgbm.py", task)
            np.testing.assert_allclose(answer, told, rtol=1e-4, atol=1e-4, err_msg=f"seed {SEED}")
            self.assertIn("validation_loss", json.loads(output.splitlines()[0])["metrics"])

    def test_scikit_learn(self) -> None:
        for task in ("BINARY", "REGRESSION"):
            _output, answer, told = self.run_example("train_scikit_learn.py", task)
            np.testing.assert_allclose(answer, told, rtol=1e-4, atol=1e-4, err_msg=f"seed {SEED}")

    @unittest.skipUnless(importlib.util.find_spec("torch"), "torch is not installed: nx run trainer-python:test-torch")
    def test_torch(self) -> None:
        for task in ("BINARY", "REGRESSION"):
            output, answer, told = self.run_example("train_torch.py", task, TELL_TORCH)
            np.testing.assert_allclose(answer, told, rtol=1e-4, atol=1e-4, err_msg=f"seed {SEED}")
            self.assertEqual(len(output.splitlines()), 10)


if __name__ == "__main__":
    unittest.main()
