"""The compose file names what the contract names, bounded, watched, pinned, and with settings that exist."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

import pytest
from pydantic import BaseModel

from sagastream.project import read_project
from tests.deploy.compose import config
from tests.needs import ROOT

PARTICIPANTS = {"order-service", "stock-service", "payment-service", "notification-service"}
SHOP = {*PARTICIPANTS, "choreographed-saga-coordinator", "payment-provider", "front"}
ALL = {*SHOP, "redis", "gateway", "prometheus", "grafana"}
PUBLISHED = {"gateway": 80, "prometheus": 9090, "grafana": 3000}


def services(**surroundings: str) -> dict[str, Any]:
    return config(**surroundings)["services"]


def known_settings() -> set[str]:
    """Return the environment variables something in the shop reads."""
    modules = [import_module(f"{path.parent.name}.settings") for path in ROOT.glob("*/settings.py")]
    models = {it for module in modules for it in vars(module).values() if inspect.isclass(it)}
    fields = {name.upper() for model in models if issubclass(model, BaseModel) for name in model.model_fields}
    wirings = "".join(path.read_text() for path in ROOT.glob("*/app.py"))
    return fields | set(re.findall(r'environment\.get\("([A-Z_]+)"\)', wirings))


def test_the_services_are_those_of_the_contract() -> None:
    assert set(services()) == ALL


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_container_is_watched_and_bounded(name: str) -> None:
    service = services()[name]

    limits = service["deploy"]["resources"]["limits"]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[MG]", limits["memory"])
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", sorted(ALL))
def test_no_log_fills_the_disk_of_the_store(name: str) -> None:
    """Docker's default keeps everything that was ever said."""
    logging = services()[name]["logging"]

    assert logging["driver"] == "local"
    assert re.fullmatch(r"\d+m", logging["options"]["max-size"])
    assert 1 < int(logging["options"]["max-file"]) < 10


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_image_is_built_here_or_pinned(name: str) -> None:
    service = services()[name]

    image, _, tag = service["image"].partition(":")
    assert ("build" in service) == (name in SHOP)
    assert (image, tag) == ("sagastream-shop", "local") if name in SHOP else re.match(r"v?\d+\.\d+", tag)


@pytest.mark.parametrize("name", sorted(SHOP))
def test_every_setting_exists(name: str) -> None:
    assert set(services()[name]["environment"]) <= known_settings()


def test_the_image_sets_what_exists() -> None:
    (line,) = re.findall(r"^ENV (PATH=.*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = {pair.partition("=")[0] for pair in line.split()}

    assert {name for name in names if not name.startswith(("PATH", "PYTHON"))} <= known_settings()


def test_the_gateway_is_told_every_word_of_its_configuration() -> None:
    words = set(re.findall(r"@([A-Z_]+)@", (ROOT / "deploy/nginx.conf").read_text()))

    assert set(services()["gateway"]["environment"]) == words - {"RUN_DIR", "RESOLVER"}


def test_the_coordinator_waits_for_the_others() -> None:
    needed = services()["choreographed-saga-coordinator"]["depends_on"]

    assert set(needed) >= {*PARTICIPANTS, "redis"}
    assert all(service["condition"] == "service_healthy" for service in needed.values())


def test_the_front_stands_before_every_service_of_the_project() -> None:
    command = services()["front"]["command"]

    named = {word.split("=")[1] for word in command if word.startswith("--upstream=")}
    assert named == set(read_project(ROOT).services)


def test_only_what_people_open_is_published_and_only_here() -> None:
    ports = {name: service["ports"] for name, service in services().items() if "ports" in service}

    assert {name: (len(of), of[0].split(":")[:2]) for name, of in ports.items()} == {
        name: (1, ["127.0.0.1", str(port)]) for name, port in PUBLISHED.items()
    }
    assert services(PUBLISH_ADDRESS="0.0.0.0")["gateway"]["ports"] == ["0.0.0.0:80:8080/tcp"]


def test_the_store_keeps_its_data_and_is_reached_by_the_shop_only() -> None:
    command = " ".join(services()["redis"]["command"])
    near = {name for name, service in services().items() if "store" in service["networks"]}

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--hash-max-listpack-value 4096" in command
    assert near == {*SHOP, "redis"}
    assert config()["networks"]["store"] == {"internal": True}


def test_there_may_be_several_of_whatever_consumes() -> None:
    """Two consumers of one name do what the other has in hand; two containers of one name cannot be."""
    for name in {*PARTICIPANTS, "choreographed-saga-coordinator"}:
        service = services()[name]
        assert service["environment"]["CONSUMER"] == "host"
        assert not {"container_name", "hostname", "ports"} & set(service)


def test_whatever_is_mounted_is_there() -> None:
    mounts = [mount.split(":")[:2] for service in services().values() for mount in service.get("volumes", [])]

    assert {source for source, _ in mounts if not source.startswith("/")} == set(config()["volumes"])
    assert [source for source, _ in mounts if source.startswith("/") and not (ROOT / source).exists()] == []


def test_nothing_is_started_without_a_token_of_operators() -> None:
    """Every service of the shop listens beyond its own loopback address."""
    with pytest.raises(AssertionError, match=r"OPERATOR_TOKEN.*is not set"):
        config(OPERATOR_TOKEN="")

    assert {name for name, service in services().items() if "OPERATOR_TOKEN" in service.get("environment", {})} == SHOP
