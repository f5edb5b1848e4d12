from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

KUBERNETES = "1.35"
"""Of the schemas: a version that providers offer."""
RAY = "ray.io/v1"
SECRETS = {"safr-ray-token", "safr-postgres", "safr-mlflow", "safr-s3"}
CONFIGS = {"create-databases", "mlflow-users"}
"""Secrets and config maps that README.md has the commands for."""

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests(deploy: Path) -> list[Manifest]:
    return [
        manifest
        for path in sorted((deploy / "kubernetes").glob("*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text("utf-8"))
    ]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def ray_clusters(manifests: list[Manifest]) -> list[Manifest]:
    """The specifications of Ray clusters, that of the job included."""
    return [
        *(one["spec"] for one in of_kind(manifests, "RayCluster")),
        *(one["spec"]["rayClusterSpec"] for one in of_kind(manifests, "RayJob")),
    ]


def pods(manifests: list[Manifest]) -> Iterator[Manifest]:
    """Every pod's specification."""
    for kind in ("Deployment", "StatefulSet"):
        yield from (one["spec"]["template"]["spec"] for one in of_kind(manifests, kind))
    for cluster in ray_clusters(manifests):
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            yield group["template"]["spec"]
    yield from (one["spec"]["submitterPodTemplate"]["spec"] for one in of_kind(manifests, "RayJob"))


def unknown_fields(value: Any, schema: Manifest, path: str = "") -> Iterator[str]:
    """What the API server would drop: fields that a structural schema does not name."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from unknown_fields(inner, schema.get("items", {}), f"{path}[{place}]")
    if not isinstance(value, dict):
        return
    named, others = schema.get("properties"), schema.get("additionalProperties")
    for name, inner in value.items():
        below = f"{path}.{name}"
        if named and name in named:
            yield from unknown_fields(inner, named[name], below)
        elif isinstance(others, dict):
            yield from unknown_fields(inner, others, below)
        elif named is not None or others is False:
            yield below


@pytest.fixture
def faults(
    published_schema: Callable[[str], dict[str, Any]],
) -> Callable[[Manifest], list[str]]:
    """What KubeRay's published schemas say against a manifest."""

    def found(manifest: Manifest) -> list[str]:
        crd = published_schema(f"ray.io_{manifest['kind'].lower()}s.yaml")
        (version,) = [v for v in crd["spec"]["versions"] if v["name"] == "v1"]
        schema = version["schema"]["openAPIV3Schema"]
        broken = [
            error.message for error in jsonschema.Draft7Validator(schema).iter_errors(manifest)
        ]
        # The schema of metadata is the API server's own.
        bare = {name: value for name, value in manifest.items() if name != "metadata"}
        return broken + list(unknown_fields(bare, schema))

    return found


def test_built_in_kinds_are_as_kubernetes_knows_them(manifests: list[Manifest]) -> None:
    plain = [one for one in manifests if one["apiVersion"] != RAY]
    assert {one["kind"] for one in plain} >= {
        "Deployment",
        "NetworkPolicy",
        "Service",
        "StatefulSet",
    }
    for manifest in plain:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_a_broken_built_in_kind_is_noticed(manifests: list[Manifest]) -> None:
    policy = copy.deepcopy(of_kind(manifests, "NetworkPolicy")[0])
    policy["spec"]["podSelektor"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(policy, KUBERNETES, strict=True)


def test_cluster_and_job_are_as_kuberay_knows_them(
    manifests: list[Manifest], faults: Callable[[Manifest], list[str]]
) -> None:
    ray = [one for one in manifests if one["apiVersion"] == RAY]
    assert sorted(one["kind"] for one in ray) == ["RayCluster", "RayJob"]
    assert [fault for manifest in ray for fault in faults(manifest)] == []


def test_broken_copies_of_them_are_noticed(
    manifests: list[Manifest], faults: Callable[[Manifest], list[str]]
) -> None:
    (cluster,), (job,) = (of_kind(manifests, kind) for kind in ("RayCluster", "RayJob"))
    cluster, job = copy.deepcopy(cluster), copy.deepcopy(job)
    cluster["spec"]["workerGroupSpecs"][0]["maxReplicas"] = "many"
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["imag"] = ""
    assert any("'many'" in fault for fault in faults(cluster))
    (fault,) = faults(job)
    assert fault.endswith("containers[0].imag")


def test_names_and_combinations_that_kuberay_refuses_are_not_used(
    manifests: list[Manifest],
) -> None:
    # Its admission rules, which are in no schema.
    (cluster,), (job,) = (of_kind(manifests, kind) for kind in ("RayCluster", "RayJob"))
    assert len(cluster["metadata"]["name"]) <= 53
    assert len(job["metadata"]["name"]) <= 47
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert job["spec"].get("submissionMode", "K8sJobMode") == "K8sJobMode"


def test_job_and_cluster_have_the_same_nodes(manifests: list[Manifest]) -> None:
    standing, of_the_job = ray_clusters(manifests)
    assert standing == of_the_job


def test_every_ray_cluster_asks_for_its_token_and_keeps_trials_off_the_head(
    manifests: list[Manifest],
) -> None:
    for cluster in ray_clusters(manifests):
        assert cluster["authOptions"] == {"mode": "token", "secretName": "safr-ray-token"}
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
        assert set(groups) == {"gpu", "cpu"}
        assert cluster["enableInTreeAutoscaling"] is True
        for name, group in groups.items():
            assert group["minReplicas"] == 0 < group["maxReplicas"]
            limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
            assert ("nvidia.com/gpu" in limits) is (name == "gpu")


def test_the_version_of_ray_is_the_pinned_one(manifests: list[Manifest], repository: Path) -> None:
    pins = (repository / "constraints.txt").read_text("utf-8").splitlines()
    for cluster in ray_clusters(manifests):
        assert f"ray=={cluster['rayVersion']}" in pins


def test_no_container_is_root_or_may_become_it(manifests: list[Manifest]) -> None:
    seen = 0
    for pod in pods(manifests):
        for container in pod["containers"]:
            seen += 1
            both = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert both["runAsNonRoot"] is True, container["name"]
            assert both["allowPrivilegeEscalation"] is False, container["name"]
            assert both["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert both["seccompProfile"] == {"type": "RuntimeDefault"}, container["name"]
            assert "limits" in container["resources"], container["name"]
    assert seen >= 9


def test_only_the_head_may_call_the_kubernetes_api(manifests: list[Manifest]) -> None:
    heads = [cluster["headGroupSpec"]["template"]["spec"] for cluster in ray_clusters(manifests)]
    for pod in pods(manifests):
        assert pod in heads or pod["automountServiceAccountToken"] is False


def test_workers_have_no_secret(manifests: list[Manifest]) -> None:
    for cluster in ray_clusters(manifests):
        assert "secretKeyRef" in yaml.safe_dump(cluster["headGroupSpec"])
        assert "secret" not in yaml.safe_dump(cluster["workerGroupSpecs"]).lower()


def test_images_are_pinned_and_ours_has_the_version_of_the_project(
    manifests: list[Manifest], repository: Path
) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    images = {container["image"] for pod in pods(manifests) for container in pod["containers"]}
    ours = f"REGISTRY/safr-study:{project['version']}"
    assert {image for image in images if "safr-study" in image} == {ours, f"{ours}-cuda"}
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_secrets_and_config_maps_have_their_commands_in_the_readme(
    manifests: list[Manifest], deploy: Path
) -> None:
    assert of_kind(manifests, "Secret") == []
    secrets, configs = set(), set()
    for found in _walk(manifests):
        secrets |= {found[key] for key in ("secretName",) if key in found}
        secrets |= {found["secretKeyRef"]["name"]} if "secretKeyRef" in found else set()
        configs |= {found["configMap"]["name"]} if "configMap" in found else set()
    assert (secrets, configs) == (SECRETS, CONFIGS)
    page = (deploy / "README.md").read_text("utf-8")
    assert [name for name in secrets if f"create secret generic {name} " not in page] == []
    assert [name for name in configs if f"create configmap {name} " not in page] == []


def test_what_is_listed_alone_may_talk(manifests: list[Manifest]) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(manifests, "NetworkPolicy")}
    assert policies["deny-by-default"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    asked = _callers(policies, "postgres"), _callers(policies, "mlflow"), _callers(policies, "s3")
    assert asked == (
        {"app=mlflow", "ray.io/node-type=head"},
        {"ray.io/node-type=head"},
        {"app=mlflow"},
    )
    # Trials run on the workers: no rule but Ray's own names them.
    assert _callers(policies, "ray-nodes") == {"ray.io/is-ray-node=yes"}


def test_every_label_that_a_policy_names_is_one_of_a_pod(manifests: list[Manifest]) -> None:
    of_kuberay = {"ray.io/is-ray-node=yes", "ray.io/node-type=head"}
    given = {
        f"{name}={value}"
        for one in _walk(manifests)
        if "labels" in one.get("metadata", {})
        for name, value in one["metadata"]["labels"].items()
    }
    named = {
        f"{name}={value}"
        for policy in of_kind(manifests, "NetworkPolicy")
        for one in _walk(policy)
        for name, value in one.get("podSelector", {}).get("matchLabels", {}).items()
    }
    assert named - of_kuberay <= given


def _callers(policies: dict[str, Manifest], name: str) -> set[str]:
    return {
        f"{label}={value}"
        for rule in policies[name]["ingress"]
        for peer in rule["from"]
        for label, value in peer["podSelector"]["matchLabels"].items()
    }


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)
