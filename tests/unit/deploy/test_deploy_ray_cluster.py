from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml


@pytest.fixture(params=["aws", "gcp"])
def cluster(deploy: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded = yaml.safe_load((deploy / f"ray-{request.param}.yaml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="session")
def autoscaler() -> Path:
    """The launcher's folder in the installed Ray, which is not imported: that takes seconds."""
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "autoscaler"


@pytest.fixture(scope="session")
def validator(autoscaler: Path) -> jsonschema.Draft7Validator:
    schema = json.loads((autoscaler / "ray-schema.json").read_text("utf-8"))
    return jsonschema.Draft7Validator(schema)


def test_it_is_a_cluster_file_of_the_installed_ray(
    cluster: dict[str, Any], validator: jsonschema.Draft7Validator
) -> None:
    assert [error.message for error in validator.iter_errors(cluster)] == []


@pytest.mark.parametrize(
    "change",
    [
        {"provider": {}},
        {"min_workers": 1},
        {"head_node": {"InstanceType": "m7i.large"}},
        {"available_node_types": {"worker": {"resources": {}}}},
        {"setup_commands": "pip install safr-study"},
    ],
    ids=["no provider type", "legacy workers", "legacy head", "no node_config", "no list"],
)
def test_the_schema_refuses_a_broken_copy(
    cluster: dict[str, Any], validator: jsonschema.Draft7Validator, change: dict[str, Any]
) -> None:
    assert not validator.is_valid({**cluster, **change})


def test_the_head_is_one_of_the_node_types_and_the_workers_fit(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    assert cluster["head_node_type"] in types
    workers = [node for name, node in types.items() if name != cluster["head_node_type"]]
    assert sum(node["min_workers"] for node in workers) <= cluster["max_workers"]
    assert types[cluster["head_node_type"]]["resources"] == {"CPU": 0}


def test_no_default_command_of_ray_is_taken_over(cluster: dict[str, Any], autoscaler: Path) -> None:
    cloud = autoscaler / cluster["provider"]["type"]
    defaults = yaml.safe_load((cloud / "defaults.yaml").read_text("utf-8"))
    commands = {key for key in defaults if key.endswith("_commands")}
    assert "setup_commands" in commands
    assert commands <= set(cluster)


def test_the_dashboard_listens_on_loopback_alone(cluster: dict[str, Any]) -> None:
    starts = [command for command in cluster["head_start_ray_commands"] if "ray start" in command]
    assert len(starts) == 1
    assert "--dashboard-host=127.0.0.1" in starts[0].split()


def test_every_node_asks_for_the_token(cluster: dict[str, Any]) -> None:
    options = dict(
        option.removeprefix("--env ").split("=", 1)
        for option in cluster["docker"]["run_options"]
        if option.startswith("--env ")
    )
    assert options["RAY_AUTH_MODE"] == "token"
    assert options["RAY_AUTH_TOKEN_PATH"] in cluster["file_mounts"]


def test_the_image_and_its_home_are_those_of_the_compose_file(
    cluster: dict[str, Any], compose: dict[str, Any]
) -> None:
    node = compose["services"]["ray-worker"]
    image = cluster["docker"]["image"].rpartition("/")[2]
    assert image == node["image"]
    gpu = cluster["available_node_types"]["gpu"]["docker"]["worker_image"]
    assert gpu.rpartition("/")[2] == f"{image}-cuda"
    home = node["volumes"][0].partition(":")[2]
    mounts = [o for o in cluster["docker"]["run_options"] if o.startswith("--volume ")]
    assert [mount.rpartition(":")[2] for mount in mounts] == [home]


def test_the_entry_point_of_the_image_is_set_aside(cluster: dict[str, Any]) -> None:
    # Ray starts the container with the command bash, which safr-study would take for its own.
    assert "--entrypoint ''" in cluster["docker"]["run_options"]
