"""What a checkout consists of is read from its pyproject.toml, and what is wrong there is told in a line."""

from pathlib import Path

import pytest

from sagastream.project import ProjectError, load, load_factory, read_project, service_name


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
        ("[tool.sagastream]\nsagas = 'trip:TRIP'", 'sagas: it must be a list, such as ["trip:TRIP"]'),
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
