"""The public Feast SDK with its remote online store, on a folder and the URL of feature-serving: no line of it is ours."""

import sys
from datetime import datetime, timedelta, timezone

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

folder, url = sys.argv[1:]
store = FeatureStore(
    config=RepoConfig(
        project="flights",
        provider="local",
        registry=f"{folder}/registry.db",
        online_store={"type": "remote", "path": url},
        entity_key_serialization_version=3,
    )
)
airport = Entity(name="airport", join_keys=["airport"], value_type=ValueType.STRING)


def view(name, fields):
    source = FileSource(name=f"{name}_file", path=f"{folder}/{name}.parquet", timestamp_field="arrived_at")
    schema = [Field(name="airport", dtype=String), *fields]
    return FeatureView(name=name, entities=[airport], schema=schema, source=source, ttl=timedelta(hours=2))


latest = view("airport_latest", [Field(name="delay", dtype=Float64)])
windows = view("airport_delays", [Field(name="mean_delay_1h", dtype=Float64), Field(name="arrivals_24h", dtype=Int64)])
store.apply([airport, latest, windows, FeatureService(name="airports_v1", features=[latest, windows])])

at = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(minutes=30)
rows = pd.DataFrame({"airport": ["ATL", "DEN"], "delay": [30.5, -2.0], "arrived_at": [at, at]})
store.write_to_online_store("airport_latest", rows)

answer = store.get_online_features(
    features=["airport_latest:delay", "airport_delays:mean_delay_1h", "airport_delays:arrivals_24h"],
    entity_rows=[{"airport": "ATL"}, {"airport": "DEN"}, {"airport": "nowhere"}],
).to_dict()
assert answer["airport"] == ["ATL", "DEN", "nowhere"], answer
assert answer["delay"] == [30.5, -2.0, None], answer
assert answer["mean_delay_1h"] == [30.5, -2.0, None], answer
assert answer["arrivals_24h"] == [1, 1, 0], answer

service = store.get_online_features(
    features=store.get_feature_service("airports_v1"), entity_rows=[{"airport": "DEN"}], full_feature_names=True
).to_dict()
assert service["airport_latest__delay"] == [-2.0], service

try:
    store.get_online_features(features=["airport_latest:none"], entity_rows=[{"airport": "ATL"}])
    raise SystemExit("an unknown feature was answered")
except Exception as error:
    assert "none" in str(error), error
print("ok")
