"""The drift of two Parquet tables by a peer: `compare_tables.py scipy|evidently reference.parquet current.parquet`.

Prints JSON: a value by column. SciPy is asked for what Evidently's default would: above 1,000 rows the Wasserstein
distance in standard deviations of the reference for numbers, the Jensen-Shannon distance for text.
"""

import json
import sys

peer, reference_path, current_path = sys.argv[1:]


def by_scipy(reference, current):
    import numpy as np
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import wasserstein_distance

    found = {}
    for name in reference.columns:
        a, b = reference[name].dropna(), current[name].dropna()
        if a.dtype.kind in "if":
            found[name] = wasserstein_distance(a, b) / max(np.std(a), 0.001)
        else:
            p, q = a.value_counts(normalize=True).align(b.value_counts(normalize=True), fill_value=0)
            found[name] = jensenshannon(p, q)
    return found


def by_evidently(reference, current):
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    snapshot = Report([DataDriftPreset()]).run(Dataset.from_pandas(current), Dataset.from_pandas(reference))
    found = {}
    for metric in snapshot.dict()["metrics"]:
        column = metric.get("config", {}).get("column")
        if column is not None:
            found[column] = float(metric["value"])
    return found


import pandas

tables = [pandas.read_parquet(path) for path in (reference_path, current_path)]
found = {"scipy": by_scipy, "evidently": by_evidently}[peer](*tables)
print(json.dumps({name: float(value) for name, value in found.items()}))
