"""Settings come from the environment, are refused by name, and never change."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from sagastream.project import ProjectError, load, load_factory, read_project, service_name
from sagastream.server_program import NoServer, find_server, server_version
from sagastream.settings import Settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("2", 2), ("0.25", 0.25), ("PT30S", 30), ("P7D", 604_800)],
)
def test_a_duration_is_seconds_or_iso_8601(monkeypatch: pytest.MonkeyPatch, text: str, meaning: float) -> None:
    monkeypatch.setenv("BLOCK", text)

    assert Settings().block == timedelta(seconds=meaning)


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("PORT", "")

    assert (Settings().redis_url, Settings().port) == (None, 8080)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("BATCH", "0"), ("BLOCK", "-1"), ("REDIS_URL", "localhost"), ("KEY_PREFIX", "{x}"),
     ("APPENDFSYNC", "sometimes"), ("CONSUMER", "pod 1"), ("LEDGER_RETENTION", "nan")],
)  # fmt: skip
def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [(name.lower(),)]


def test_settings_never_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]  # that it is refused is the point


def test_without_any_server_the_three_ways_out_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sagastream.server_program.bundled_server", lambda: None)

    with pytest.raises(NoServer, match=r"REDIS_URL.*redis-server.*sagastream\[embedded\]"):
        find_server(None, path=str(tmp_path))


def _program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_an_old_server_on_the_path_is_passed_over(tmp_path: Path) -> None:
    old = _program(tmp_path / "redis-server", "Redis server v=6.2.14 sha=0")
    new = _program(tmp_path / "valkey-server", "Valkey server v=8.1.0 sha=0")

    assert find_server(None, path=str(tmp_path)) == new
    assert server_version(old) == (6, 2)
    with pytest.raises(NoServer, match=r"6\.2"):
        find_server(old)


def test_a_service_is_called_after_its_package() -> None:
    assert service_name("order_service.app:create_service") == "order-service"


def test_services_of_one_package_are_named_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("""\
[tool.sagastream]
services = [
    {name = "desk-service", service = "trips.desk:create_service"},
    {name = "coordinator", service = "trips.coordinator:create_service"},
    "hotel_service:create_service",
]
""")

    project = read_project(tmp_path)

    assert project.services == {
        "desk-service": "trips.desk:create_service",
        "coordinator": "trips.coordinator:create_service",
        "hotel-service": "hotel_service:create_service",
    }


def test_a_project_is_found_from_below_and_its_hint_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.sagastream]\nservices = ["stock_service.app:make"]\nhint = "hint.txt"\n'
    )
    (tmp_path / "hint.txt").write_text("try {url}\n")
    (tmp_path / "below").mkdir()

    project = read_project(tmp_path / "below")

    assert project.root == tmp_path
    assert project.hint == "try {url}"
    assert project.service("stock") == ("stock-service", "stock_service.app:make")
    with pytest.raises(ProjectError, match="stock-service"):
        project.service("bank")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tool.sagastream", "is not TOML: Expected"),
        ("\xff", "is not TOML: "),
        ("[tool.sagastream]\nsaga = []", "[tool.sagastream]: saga: there is no such key"),
        (
            "[tool.sagastream]\nservices = ['trips.desk:make', 'trips.hotel:make']",
            "[tool.sagastream]: services: 'trips.desk:make' and 'trips.hotel:make' are both called 'trips', after their"
            ' package; name them: {name = "…", service = "trips.desk:make"}',
        ),
        ("[tool.sagastream]\nservices = ['desk_service']", "services.0: 'desk_service' must be \"module:function\""),
        (
            "[tool.sagastream]\nservices = [{name = 'a/b', service = 'm:f'}]",
            "services.0.name: String should match pattern",
        ),
        ("[tool.sagastream]\nsagas = 'trip:TRIP'", "[tool.sagastream]: sagas: Input should be a valid tuple"),
    ],
)
def test_what_is_wrong_with_a_projects_description_is_told_in_one_line(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text.encode("latin-1"))

    with pytest.raises(ProjectError) as refused:
        read_project(tmp_path)

    assert told in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "pyproject.toml"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("no_such_module:x", "there is no module 'no_such_module'"),
        ("sagastream.version:NOTHING", "module 'sagastream.version' has no 'NOTHING'"),
        ("sagastream.version", "'sagastream.version' must be \"module:name\""),
    ],
)
def test_what_cannot_be_loaded_is_named(target: str, told: str) -> None:
    with pytest.raises(ProjectError, match=told):
        load(target)


@pytest.mark.parametrize(
    "target",
    ["tests.trip:TRIP", "tests.trip:hold_room", "sagastream.envelope:published", "sagastream.version:VERSION"],
)
def test_what_makes_no_service_is_told_from_what_does(target: str) -> None:
    """A handler, a table or a function of several arguments in its place must not end in a traceback."""
    with pytest.raises(ProjectError, match="is not a function that takes a context"):
        load_factory(target)


@pytest.mark.parametrize(
    ("told", "consumer"), [("2", "2"), ("stock-7d9f4b-x2v9q", "stock-7d9f4b-x2v9q"), ("host", "f00d_cafe.local")]
)
def test_a_process_is_one_of_many_by_number_or_by_name(
    told: str, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pods come and go each has a name, and nobody counts them."""
    monkeypatch.setenv("CONSUMER", told)
    monkeypatch.setattr("socket.gethostname", lambda: "f00d cafe.local")

    assert Settings().consumer == consumer
    assert Settings(consumer=2).consumer == "2"  # type: ignore[arg-type]  # as a number was given before
