r"""Makes the JSON schemas of this folder from Kubernetes' OpenAPI description, and from the Prometheus operator's.

    go mod download k8s.io/kubernetes@v1.37.2 github.com/prometheus-operator/prometheus-operator@v0.85.0
    cache="$(go env GOMODCACHE)"
    python3 deploy/kubernetes-schemas/generate.py "$cache/k8s.io/kubernetes@v1.37.2/api/openapi-spec/swagger.json" \
        "$cache/github.com/prometheus-operator/prometheus-operator@v0.85.0/jsonnet/prometheus-operator"

One file a kind that the chart makes, for `kubeconform -schema-location`. Descriptions are left out, and what a file
refers to is written into it. Unknown fields are refused, as the API server does with strict validation.
"""

import json
import pathlib
import sys

KINDS = {
    "configmap-v1": "io.k8s.api.core.v1.ConfigMap",
    "horizontalpodautoscaler-autoscaling-v2": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    "networkpolicy-networking-v1": "io.k8s.api.networking.v1.NetworkPolicy",
    "deployment-apps-v1": "io.k8s.api.apps.v1.Deployment",
    "persistentvolumeclaim-v1": "io.k8s.api.core.v1.PersistentVolumeClaim",
    "poddisruptionbudget-policy-v1": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "service-v1": "io.k8s.api.core.v1.Service",
}
OPERATOR_KINDS = {
    "servicemonitor-monitoring-v1": "servicemonitors-crd.json",
    "prometheusrule-monitoring-v1": "prometheusrules-crd.json",
}
REFERENCE = "#/definitions/"
KEPT = ("type", "format", "required", "enum", "items", "additionalProperties", "properties")


def reduced(schema, used):
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        used.add(name)
        return {"$ref": REFERENCE + name}
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    kept = {key: schema[key] for key in KEPT if key in schema}
    if "properties" in kept:
        kept["properties"] = {name: reduced(value, used) for name, value in kept["properties"].items()}
        kept.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = reduced(kept[key], used)
    return kept


def main(swagger, operator):
    definitions = json.loads(pathlib.Path(swagger).read_text())["definitions"]
    # A quantity is text in the description, and the server takes numbers too.
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    for file, root in KINDS.items():
        open_names, done = {root}, {}
        while open_names:
            name = open_names.pop()
            used = set()
            done[name] = reduced(definitions[name], used)
            open_names |= used - done.keys()
        schema = {"$schema": "http://json-schema.org/draft-07/schema#", **done.pop(root), "definitions": done}
        for key, value in zip(("kind", "apiVersion"), kind_of(definitions[root])):
            schema["properties"][key] = {"enum": [value]}
        write(file, schema)
    for file, source in OPERATOR_KINDS.items():
        crd = json.loads((pathlib.Path(operator) / source).read_text())["spec"]
        (version,) = [each for each in crd["versions"] if each["name"] == "v1"]
        schema = reduced(version["schema"]["openAPIV3Schema"], set())
        schema["properties"]["metadata"] = {"type": "object"}
        for key, value in (("kind", crd["names"]["kind"]), ("apiVersion", f'{crd["group"]}/v1')):
            schema["properties"][key] = {"enum": [value]}
        write(file, {"$schema": "http://json-schema.org/draft-07/schema#", **schema})


def write(file, schema):
    schema["required"] = sorted({*schema.get("required", []), "kind", "apiVersion"})
    path = pathlib.Path(__file__).parent / f"{file}.json"
    path.write_text(json.dumps(schema, sort_keys=True, separators=(",", ":")) + "\n")


def kind_of(definition):
    (kind,) = definition["x-kubernetes-group-version-kind"]
    version = f'{kind["group"]}/{kind["version"]}' if kind["group"] else kind["version"]
    return kind["kind"], version


main(*sys.argv[1:])
