from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SECRET_NAME = re.compile(r"password|token|secret|credential|access_key", re.IGNORECASE)
PASSWORD_IN_URL = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
REFERENCES = ("/run/secrets/", "${", '"$$(cat /run/secrets/', '"$$MLFLOW_AUTH_ADMIN_PASSWORD')
"""How a value may begin that only says where the secret is."""
HARMLESS = {"token", "safr"}
"""Values that only sound secret: RAY_AUTH_MODE is a kind, and AWS_ACCESS_KEY_ID a name."""


def unpublished_to_all(service: dict[str, Any]) -> bool:
    """Whether every port that a service publishes is bound to loopback."""
    return all(
        port.get("host_ip") == "127.0.0.1"
        if isinstance(port, dict)
        else re.fullmatch(r"127\.0\.0\.1:\d+:\d+", str(port)) is not None
        for port in service.get("ports", [])
    )


def literal_secrets(value: Any, name: str = "") -> Iterator[str]:
    """Where a value under a secret-sounding name is the secret itself."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from literal_secrets(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            # An environment may also be a list of NAME=value.
            key, equals, rest = inner.partition("=") if isinstance(inner, str) else ("", "", "")
            yield from literal_secrets(rest if equals else inner, key if equals else name)
    elif isinstance(value, str):
        refers = value.startswith(REFERENCES) or value in HARMLESS
        if SECRET_NAME.search(name) and value and not refers:
            yield name
        if PASSWORD_IN_URL.search(value):
            yield f"{name}: {value}"


def secret_parts(compose: dict[str, Any]) -> set[str]:
    """Where secrets are declared, and what only refers to them."""
    return {key for key, value in compose.items() if key == "secrets" or "source" in value}


def test_it_is_a_compose_file(
    compose: dict[str, Any], published_schema: Callable[[str], dict[str, Any]]
) -> None:
    validator = jsonschema.Draft7Validator(published_schema("compose-spec.json"))
    assert [error.message for error in validator.iter_errors(compose)] == []


def test_the_schema_refuses_a_misspelt_field(
    compose: dict[str, Any], published_schema: Callable[[str], dict[str, Any]]
) -> None:
    compose["services"]["mlflow"]["helthcheck"] = {}
    validator = jsonschema.Draft7Validator(published_schema("compose-spec.json"))
    assert not validator.is_valid(compose)


def test_every_published_port_is_on_loopback(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert [name for name, service in services.items() if not unpublished_to_all(service)] == []
    assert {name for name, service in services.items() if service.get("ports")} == {
        "mlflow",
        "ray-head",
    }


@pytest.mark.parametrize(
    "port", ["5000:5000", "5000", "0.0.0.0:5000:5000", {"target": 5000, "published": "5000"}]
)
def test_a_port_on_every_interface_is_noticed(port: Any) -> None:
    assert not unpublished_to_all({"ports": ["127.0.0.1:1:1", port]})


def test_no_file_of_deploy_holds_a_secret(
    compose: dict[str, Any], deploy_texts: dict[str, str]
) -> None:
    # x-...: parts that the services repeat, and the names of secrets.
    values = {key: value for key, value in compose.items() if key not in secret_parts(compose)}
    for service in values["services"].values():
        service.pop("secrets", None)
    assert list(literal_secrets(values)) == []
    assert [name for name, text in deploy_texts.items() if PASSWORD_IN_URL.search(text)] == []


@pytest.mark.parametrize(
    "environment",
    [
        {"POSTGRES_PASSWORD": "hunter2"},
        ["RAY_AUTH_TOKEN=abc"],
        {"URL": "postgresql://safr:hunter2@postgres/ledger"},
    ],
)
def test_a_literal_secret_is_noticed(environment: Any) -> None:
    assert list(literal_secrets({"services": {"a": {"environment": environment}}}))


def test_secrets_are_declared_and_come_from_variables(compose: dict[str, Any]) -> None:
    declared = compose["secrets"]
    assert all(set(source) == {"environment"} for source in declared.values())
    used = {
        secret["source"] if isinstance(secret, dict) else secret
        for service in compose["services"].values()
        for secret in service.get("secrets", [])
    }
    assert used == set(declared)


def test_the_example_names_every_variable_and_fills_in_no_secret(
    compose: dict[str, Any], deploy: Path
) -> None:
    text = (deploy / ".env.example").read_text("utf-8")
    example = dict(re.findall(r"^(\w+)=(.*)$", text, flags=re.MULTILINE))
    secrets = {source["environment"] for source in compose["secrets"].values()}
    written = (deploy / "compose.yaml").read_text("utf-8")
    variables = re.findall(r"(?<!\$)\$\{(\w+):-([^}]*)\}", written)
    assert set(example) == secrets | {name for name, _ in variables}
    assert {example[name] for name in secrets} == {""}
    assert {name: example[name] for name, _ in variables} == dict(variables)


def test_services_wait_for_services_that_can_become_ready(compose: dict[str, Any]) -> None:
    services = compose["services"]
    waits = [
        (name, other, how["condition"])
        for name, service in services.items()
        for other, how in service.get("depends_on", {}).items()
    ]
    assert waits
    for name, other, condition in waits:
        assert other in services, f"{name} waits for {other}, which is no service"
        if condition == "service_healthy":
            # The check of our own image asks for this page.
            checked = "healthcheck" in services[other] or (
                "build" in services[other] and services[other]["environment"].get("HEALTH_URL")
            )
            assert checked, f"{name} waits for the health of {other}"


def test_volumes_are_declared_and_mounted_files_exist(
    compose: dict[str, Any], deploy: Path
) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (deploy / source).is_file(), f"{name} mounts {source}"
            else:
                assert source in compose["volumes"], f"{name} mounts {source}"


def test_images_are_pinned_and_ours_has_the_version_of_the_project(
    compose: dict[str, Any], repository: Path
) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    ours = f"safr-study:{project['version']}"
    for name, service in compose["services"].items():
        tag = service["image"].rpartition("/")[2].partition(":")[2]
        assert tag, f"{name} has an image without a tag"
        assert tag != "latest", name
        if "build" in service:
            assert service["image"] == ours, name
            context = (repository / "deploy" / service["build"]["context"]).resolve()
            assert (context / service["build"]["dockerfile"]).is_file()


def test_every_ray_node_asks_for_the_token_and_shares_the_home(
    compose: dict[str, Any], words: Callable[[Any], list[str]]
) -> None:
    nodes = {
        name: service
        for name, service in compose["services"].items()
        if "ray" in " ".join(words(service.get("entrypoint"))).split()
    }
    assert set(nodes) == {"ray-head", "ray-worker"}
    for name, service in {**nodes, "study": compose["services"]["study"]}.items():
        assert service["environment"]["RAY_AUTH_MODE"] == "token", name
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token", name
        assert name == "study" or "home:/var/lib/safr-study" in service["volumes"], name


def test_mlflow_asks_for_a_user_and_keeps_users_in_the_database(
    compose: dict[str, Any], deploy: Path, words: Callable[[Any], list[str]]
) -> None:
    service = compose["services"]["mlflow"]
    assert "--app-name=basic-auth" in words(service["command"])
    (mount,) = service["volumes"]
    source, target, _ = mount.split(":")
    assert service["environment"]["MLFLOW_AUTH_CONFIG_PATH"] == target
    users = configparser.ConfigParser()
    users.read(deploy / source)
    assert users["mlflow"]["database_uri"].startswith("postgresql+psycopg://safr@postgres")
    assert "admin_password" not in users["mlflow"]


def test_passwords_reach_those_who_need_them_alone(compose: dict[str, Any]) -> None:
    held = {
        name: {secret if isinstance(secret, str) else secret["source"] for secret in given}
        for name, service in compose["services"].items()
        if (given := service.get("secrets"))
    }
    assert held == {
        "postgres": {"postgres_password"},
        "s3": {"s3_secret_key"},
        "mlflow": {"postgres_password", "mlflow_password", "s3_secret_key"},
        "ray-head": {"ray_token", "postgres_password", "mlflow_password"},
        "ray-worker": {"ray_token"},
        "study": {"ray_token"},
    }


def test_stores_share_a_network_with_those_who_need_them_alone(compose: dict[str, Any]) -> None:
    members: dict[str, set[str]] = {}
    for name, service in compose["services"].items():
        for network in service["networks"]:
            members.setdefault(network, set()).add(name)
    assert members["artifacts"] == {"s3", "mlflow"}
    assert members["databases"] == {"postgres", "mlflow", "ray-head"}
    assert all(compose["networks"][name]["internal"] for name in ("artifacts", "databases"))


def test_only_workers_have_cores_and_the_object_store_fits_into_memory(
    compose: dict[str, Any], words: Callable[[Any], list[str]]
) -> None:
    given = {}
    for name in ("ray-head", "ray-worker"):
        service = compose["services"][name]
        text = " ".join(words(service["entrypoint"]) + words(service["command"]))
        found = re.search(r"--num-cpus=(\d+)", text)
        assert found, name
        given[name] = int(found[1])
        # Without it, Ray finds the container's shared memory too small and uses the disk.
        store = re.search(r"--object-store-memory=(\d+)", text)
        assert store, name
        assert int(store[1]) < int(service["shm_size"].removesuffix("gb")) * 10**9
    assert given == {"ray-head": 0, "ray-worker": 2}


def test_ledger_and_tracking_have_databases_of_their_own(
    compose: dict[str, Any], deploy: Path
) -> None:
    services = compose["services"]
    texts = [str(services[name]["command"]) for name in ("mlflow", "study")]
    texts.append((deploy / "mlflow-users.ini").read_text("utf-8"))
    urls = [url for text in texts for url in re.findall(r"postgresql\+psycopg://\S+", text)]
    names = {url.rpartition("/")[2] for url in urls}
    made_here = {services["postgres"]["environment"]["POSTGRES_DB"]}
    script = (deploy / "create-databases.sql").read_text("utf-8")
    made_here |= set(re.findall(r"CREATE DATABASE (\w+);", script))
    assert len(urls) == len(names) == 3
    assert names == made_here


def test_mlflow_answers_under_the_name_that_the_study_uses(compose: dict[str, Any]) -> None:
    services = compose["services"]
    uri = re.search(r"--tracking-uri[ =]http://(\S+)", services["study"]["command"])
    hosts = re.search(r"--allowed-hosts=(\S+)", services["mlflow"]["command"])
    assert uri is not None
    assert hosts is not None
    assert uri[1] in hosts[1].split(",")
    assert "*" not in hosts[1]
