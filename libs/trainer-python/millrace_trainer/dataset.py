"""The dataset of a run, as the platform has written it, and what a program leaves for the platform."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas

from millrace_trainer.merge import OutputIs, merge
from millrace_trainer.preparation import Numbers, Preparation, Strings


@dataclass(frozen=True)
class Feature:
    """A feature, and what the training rows tell of it."""

    name: str
    # The datatype of the model's input: BOOL, INT64, FP32, FP64 or BYTES, which is text.
    datatype: str
    # Of text: the categories that are frequent enough to learn from, the most frequent first.
    categories: tuple[str, ...]
    # Of numbers: mean and standard deviation. None for others.
    mean: float | None
    deviation: float | None


@dataclass(frozen=True)
class Split:
    """Rows of one split. The test split has no labels: only the platform judges."""

    features: pandas.DataFrame
    # [rows] of float64; None for the test split.
    label: np.ndarray | None
    # [rows] of float64; None where the spec has no weight.
    weight: np.ndarray | None
    event_time: np.ndarray | None


class Dataset:
    """What a run learns from."""

    def __init__(self, folder: Path, output: Path, checkpoint: Path, spec: dict[str, Any]) -> None:
        described = json.loads((folder / "dataset.json").read_text())
        self.spec = spec
        # Of the trial of a search; empty without one.
        self.parameters: dict[str, float] = json.loads(os.environ.get("MILLRACE_PARAMETERS", "{}"))
        # BINARY or REGRESSION.
        self.task: str = described["task"]
        self.seed: int = described["seed"]
        self.snapshot_id: str = described["snapshotId"]
        self.features = tuple(_feature(entry) for entry in described["features"])
        # A folder of the program's own that outlives a restart of the run.
        self.checkpoint = checkpoint
        self._folder, self._output = folder, output

    @property
    def train(self) -> Split:
        return self._split("train")

    @property
    def validation(self) -> Split:
        return self._split("validation")

    @property
    def test(self) -> Split:
        return self._split("test")

    def prepare(
        self,
        numbers: Numbers = "raw",
        strings: Strings = "one_hot",
        only: list[str] | None = None,
    ) -> Preparation:
        """How features become a matrix: `raw` and `ordinal` suit trees, `standardize` and `one_hot` all others.

        Raises:
            ValueError: `only` names what is no feature.
        """
        known = {feature.name: feature for feature in self.features}
        for name in only or []:
            if name not in known:
                raise ValueError(f"expected one of {', '.join(known)}, got {name}")
        chosen = self.features if only is None else tuple(known[name] for name in only)
        return Preparation(chosen, numbers, strings)

    def report(self, epoch: int, **metrics: float) -> None:
        """Shows progress. `loss` and `validation_loss` are shown as such."""
        print(json.dumps({"epoch": epoch, "metrics": {name: float(value) for name, value in metrics.items()}}), flush=True)

    def save(
        self,
        model: onnx.ModelProto,
        preparation: Preparation,
        *,
        output: str | None = None,
        output_is: OutputIs | None = None,
        metrics: dict[str, float] | None = None,
    ) -> None:
        """Leaves the model for the platform: raw features in, one probability or estimate a row.

        Args:
            model: takes the preparation's matrix.
            output: the name of the model's output, where it has several of floating point.
            output_is: `logit` for one that a sigmoid has to follow. Default: a probability, or an estimate.
            metrics: what the program thinks of it. Shown beside what the platform measures, which alone counts.

        Raises:
            ValueError: the model does not fit.
        """
        default: OutputIs = "probability" if self.task == "BINARY" else "estimate"
        merged = merge(model, preparation, output, output_is or default)
        onnx.save_model(merged, str(self._output / "model.onnx"))
        if metrics is not None:
            values = {name: float(value) for name, value in metrics.items()}
            (self._output / "metrics.json").write_text(json.dumps(values))

    def _split(self, name: str) -> Split:
        rows = pandas.read_parquet(self._folder / f"{name}.parquet")
        names = [feature.name for feature in self.features]

        def column(wanted: str) -> np.ndarray | None:
            return rows[wanted].to_numpy() if wanted in rows and wanted not in names else None

        return Split(rows[names], column("label"), column("weight"), column("event_time"))


def load() -> Dataset:
    """The dataset of the run that has started this program.

    Raises:
        RuntimeError: no run has.
    """
    names = ("MILLRACE_DATASET", "MILLRACE_OUTPUT", "MILLRACE_CHECKPOINT", "MILLRACE_SPEC")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise RuntimeError(f"{', '.join(missing)} not set: this program is to be started by a run (trainer.command)")
    dataset, output, checkpoint, spec = (os.environ[name] for name in names)
    return Dataset(Path(dataset), Path(output), Path(checkpoint), json.loads(spec))


def _feature(entry: dict[str, Any]) -> Feature:
    preparation = entry["preparation"]
    is_text = entry["datatype"] == "BYTES"
    return Feature(
        entry["name"],
        entry["datatype"],
        tuple(preparation["categories"]) if is_text else (),
        preparation.get("mean"),
        preparation.get("deviation"),
    )
