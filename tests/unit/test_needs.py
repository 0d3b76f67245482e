"""A test that needs a program is never left out where it counts."""

from __future__ import annotations

import pytest

from tests import needs


@pytest.mark.parametrize(("is_ci", "ends"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)])
def test_a_missing_program_fails_in_ci_and_is_skipped_at_home(
    is_ci: bool, ends: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "IS_CI", is_ci)

    with pytest.raises(ends, match="apt-get install some-package"):
        needs.program("no-such-program", "some-package")
