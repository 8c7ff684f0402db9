"""Train with any Python library in a run of millrace's `command` trainer."""

from millrace_trainer.dataset import Dataset, Feature, Split, load
from millrace_trainer.preparation import Preparation

__all__ = ["Dataset", "Feature", "Preparation", "Split", "load"]
