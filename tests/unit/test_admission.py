"""Operators show a token; beyond the loopback address nothing is served without one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import SecretStr, ValidationError

from sagastream import Settings, problems
from sagastream.admission import Admission
from sagastream.serving import Exposed, listen
from sagastream.tokens import made_token, operator_token, token_file, token_of_its_own

TOKEN = "a-token-nobody-guesses"


def settings(data_dir: Path, token: str | None = None, host: str = "127.0.0.1") -> Settings:
    return Settings(data_dir=data_dir, operator_token=SecretStr(token) if token else None, host=host)


async def asked(told: Settings, path: str, header: str | None) -> httpx.Response:
    """Ask a route for operators, or one for staff."""
    admission, app = Admission(told), FastAPI()
    problems.install(app)
    app.add_api_route("/operator", lambda: "in", dependencies=[Depends(admission.operator)])
    app.add_api_route("/staff", lambda: "in", dependencies=[Depends(admission.staff)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        return await client.get(path, headers={"Authorization": header} if header is not None else {})


@pytest.mark.parametrize("path", ["/operator", "/staff"])
@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer ", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
    ],
)
async def test_only_who_shows_the_token_passes(tmp_path: Path, path: str, header: str | None, status: int) -> None:
    answer = await asked(settings(tmp_path, TOKEN), path, header)

    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert TOKEN not in answer.text


async def test_without_a_token_no_operator_passes_and_is_told_what_to_set(tmp_path: Path) -> None:
    """Staff passes: then nothing listens but loopback."""
    operator = await asked(settings(tmp_path), "/operator", "Bearer ")
    staff = await asked(settings(tmp_path), "/staff", None)

    assert (operator.status_code, staff.status_code) == (401, 200)
    assert "OPERATOR_TOKEN" in operator.json()["detail"]


async def test_a_run_makes_a_token_for_its_operators_and_none_for_its_staff(tmp_path: Path) -> None:
    """Whoever uses the shop on his own machine needs none to fill shelves."""
    told = settings(tmp_path)
    token_file(told).parent.mkdir()
    with token_of_its_own(told):
        made = made_token(told)
        assert made is not None
        statuses = [
            (await asked(told, path, header)).status_code
            for path in ("/operator", "/staff")
            for header in (None, f"Bearer {made.get_secret_value()}")
        ]
        mode = stat.S_IMODE(os.stat(token_file(told)).st_mode)

    assert statuses == [401, 200, 200, 200]
    assert (mode, len(made.get_secret_value())) == (0o600, 64)
    assert not token_file(told).exists()


def test_a_run_that_is_given_a_token_makes_none_and_leaves_none_behind(tmp_path: Path) -> None:
    told = settings(tmp_path, TOKEN)
    token_file(told).parent.mkdir()
    token_file(told).write_text("of a run that was killed\n")
    with token_of_its_own(told):
        assert made_token(told) is None
        assert operator_token(told) == SecretStr(TOKEN)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "shop.example"])
def test_nothing_binds_beyond_loopback_without_a_token(tmp_path: Path, host: str) -> None:
    with pytest.raises(Exposed, match="OPERATOR_TOKEN is not set"):
        listen(settings(tmp_path, host=host), 0)


@pytest.mark.parametrize(("host", "token"), [("127.0.0.1", None), ("localhost", None), ("0.0.0.0", TOKEN)])
def test_loopback_binds_always_and_anything_with_a_token(tmp_path: Path, host: str, token: str | None) -> None:
    with listen(settings(tmp_path, token, host), 0) as wire:
        assert wire.getsockname()[1]


def test_a_token_anybody_could_guess_is_refused_and_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, "short")

    assert TOKEN not in repr(settings(tmp_path, TOKEN))


@pytest.mark.parametrize(
    "token", ["der-schlüssel-zum-laden", "ends-with-a-blank-here ", "\u00a0begins-with-one", "two\nlines-of-a-file"]
)
def test_a_token_that_no_header_carries_is_refused_at_the_start(tmp_path: Path, token: str) -> None:
    """Else nobody would ever pass, and each would be told that what he shows is not the token."""
    with pytest.raises(ValidationError, match="printable ASCII") as refused:
        settings(tmp_path, token)

    assert token not in str(refused.value)
