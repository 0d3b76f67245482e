"""The stage as a stranger meets it: five lines, a report, and a lie told with what is needed for it."""

from __future__ import annotations

import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import sagastream.testing
from sagastream import DefinitionError, Entrance, Participant
from sagastream.saga import lifecycle
from sagastream.testing import Fault, Scenario, Stage, Untrue, simulate
from sagastream.testing.__main__ import INVALID, LIE, main
from sagastream.testing.simulation import Report
from tests import trip
from tests.documents import blocks
from tests.stage.trip_cast import TRIPS

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "simulate.md"


def test_five_lines_are_enough() -> None:
    """The first program of the how-to, which ``tests/unit/test_docs.py`` runs."""
    program = blocks(HOW_TO, "python")[0]

    assert len([line for line in program.text.splitlines() if line]) == 5


@pytest.fixture
def _oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    newest_first = lifecycle.to_undo
    monkeypatch.setattr(lifecycle, "to_undo", lambda saga, progress: newest_first(saga, progress)[::-1])


@pytest.mark.usefixtures("_oldest_first")
def test_a_lie_is_told_with_nothing_that_is_not_needed_for_it() -> None:
    """One saga, and only blows without which the seed would not lie."""
    with pytest.raises(Untrue, match="undone before") as caught:
        simulate(TRIPS, seeds=200)

    lie = caught.value
    assert len(lie.began) == 1
    for site in lie.sites:
        fewer = frozenset(lie.sites) - {site}
        Stage(TRIPS, seed=lie.seed, only=fewer, sagas=list(lie.began)).play()
    assert "LIE" in str(lie)
    assert "saga 0" in str(lie) or "saga 1" in str(lie) or "saga 2" in str(lie)


@pytest.mark.usefixtures("_oldest_first")
def test_the_program_stops_at_a_lie_and_prints_how_to_play_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and a command that lies again."""
    code = main(["tests.stage.trip_cast:TRIPS", "--seeds", "0:200"])

    told = capsys.readouterr().out
    again = re.search(r"again: python -m sagastream.testing (\S+) (.*)$", told, re.MULTILINE)
    assert code == LIE
    assert again is not None
    assert main([again[1], *again[2].replace("'", "").split(" ")]) == LIE


def test_a_range_in_which_a_fault_never_happened_is_not_green(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence about a fault is no proof against it."""
    report = Report(seeds=1000, wanted={str(Fault.RESTARTED), "Completed"})
    report.seen["Completed"] = 5

    assert report.missing == [Fault.RESTARTED]
    assert not report.is_valid
    monkeypatch.setattr("sagastream.testing.simulation.ENOUGH", 1)
    assert main(["tests.stage.trip_cast:TRIPS", "--seeds", "5"]) == INVALID


def test_a_saga_that_never_ends_is_a_lie() -> None:
    """Where nobody performs a step the saga waits for ever, and that is told, not waited for."""
    stage = Stage(replace(TRIPS, cast=[trip.desk, trip.hotel], lies=lambda stage: ()), seed=1)

    with pytest.raises(Untrue, match="not ended"):
        stage.play()


def test_two_participants_of_one_name_are_not_played() -> None:
    """One would quietly take the place of the other."""
    cast = [*TRIPS.cast, Participant("bank")]

    with pytest.raises(DefinitionError, match="two participants of the scenario have one name"):
        simulate(replace(TRIPS, cast=cast), seeds=1)


def test_lies_that_fail_are_told_as_what_they_are() -> None:
    """They are asked in the middle of commits: to whoever commits it would look as if the server had refused."""

    def overbooked(stage: Stage) -> list[str]:
        return ["fewer rooms than none"] if int("None") < 0 else []

    with pytest.raises(Untrue, match=r"lies\(\) of the scenario raised ValueError") as caught:
        simulate(replace(TRIPS, lies=overbooked), seeds=1)

    assert isinstance(caught.value.__cause__, ValueError)


def test_whoever_asks_is_answered_once_although_the_entrance_dies() -> None:
    """A client repeats under its key what was not answered, and one saga begins."""
    begun: list[str] = []

    async def begin(stage: Stage, number: int) -> str:
        async def ask(entrance: Entrance) -> str:
            return (await entrance.begin(trip.TripBooked(nights=1), key="the same")).saga_id

        begun.append(await stage.ask(trip.desk, ask))
        return begun[-1]

    simulate(Scenario([trip.TRIP], [trip.desk, trip.hotel, trip.bank], begin, most=1), seeds=30)

    assert len(set(begun)) == 1


def test_who_has_no_lua_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named instead of a module nobody has heard of."""
    monkeypatch.setitem(sys.modules, "lupa", None)

    with pytest.raises(ImportError, match=r"pip install 'sagastream\[testing\]'"):
        runpy.run_path(str(Path(sagastream.testing.__file__)), run_name="sagastream.testing")
