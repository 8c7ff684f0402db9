"""Makes a Feast repository in a folder: ARGV = folder, Redis as host:port, devices, views, features of a view.

Views of whole numbers over one Parquet file, materialized into Redis; the same values as the other side's.
"""

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Int64

folder, redis, devices, views, width = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
at = datetime.now(timezone.utc) - timedelta(minutes=1)
columns = [f"f{index}" for index in range(views * width)]
frame = pd.DataFrame({"device": range(devices), "at": at})
values = {name: frame["device"] * 1000 + index for index, name in enumerate(columns)}
frame = pd.concat([frame, pd.DataFrame(values)], axis=1)
data = folder / "profiles.parquet"
frame.to_parquet(data)

(folder / "feature_store.yaml").write_text(
    f"""project: bench
registry: {folder}/registry.db
provider: local
online_store:
  type: redis
  connection_string: {redis}
entity_key_serialization_version: 3
"""
)
device = Entity(name="device", join_keys=["device"], value_type=ValueType.INT64)
source = FileSource(path=str(data), timestamp_field="at")
objects = [device] + [
    FeatureView(
        name=f"profile_{view}",
        entities=[device],
        ttl=timedelta(days=365),
        schema=[Field(name=name, dtype=Int64) for name in columns[view * width : (view + 1) * width]],
        source=source,
    )
    for view in range(views)
]
store = FeatureStore(repo_path=str(folder))
store.apply(objects)
store.materialize(at - timedelta(days=1), datetime.now(timezone.utc))
