"""What is vendored into the console is what was published, but for where its imports point."""

from __future__ import annotations

import pytest

from tests.browser.vendoring import PACKAGES, VENDOR, vendored
from tests.needs import absent


def test_vendored_modules_are_those_of_the_packages_that_the_lock_names() -> None:
    """With their licences and versions beside them, and nothing else."""
    if not PACKAGES.is_dir():
        absent("the packages are not here; with npm: make test")
    expected = dict(vendored())

    assert {file.name: file.read_text() for file in VENDOR.iterdir()} == expected


@pytest.mark.parametrize("name", ["preact", "htm", "preact-signals", "preact-signals-core"])
def test_a_licence_lies_beside_what_is_vendored(name: str) -> None:
    text = (VENDOR / f"LICENSE.{name}").read_text()

    assert "Permission is hereby granted" in text or "Apache License" in text
