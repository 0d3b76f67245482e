"""The commands that look at sagas, on a real server where trips are booked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sagastream import Entrance, Participant, Runtime, Settings, Transaction
from sagastream.bus import Bus
from sagastream.cli import main
from sagastream.cli.exits import DONE, ENDED_OTHERWISE, FAILED, NO_SUCH_SAGA
from sagastream.cli.followed import Change
from sagastream.cli.follower import Follower
from sagastream.cli.looking import list_sagas, show_saga
from sagastream.cli.sight import opened
from sagastream.cli.watching import has_ended, watch
from sagastream.cli.words import parser
from sagastream.coordinator.views import PageView, StateView
from sagastream.keys import Keys
from sagastream.retry import Retry
from sagastream.timeline import REPEATED, RETRY
from tests.trip import TRIP, CardCharged, CardDeclined, CardRefunded, RoomHeld, TripBooked, desk, hotel

pytestmark = pytest.mark.server

PREFIX = "looking:"
SOON = timedelta(seconds=1)
BOUND_S = 20


def shaky_bank() -> Participant:
    """Return a bank that is down at the first attempt to charge a card named "shaky", and only then."""
    bank = Participant("bank", retry=Retry(first=timedelta(seconds=1), jitter=0.0))
    failed: set[str] = set()

    @bank.on(RoomHeld)
    async def charge_card(held: RoomHeld, tx: Transaction) -> CardCharged | CardDeclined:
        if held.card == "shaky" and tx.saga_id not in failed:
            failed.add(tx.saga_id)
            raise ConnectionError("the bank is down")
        return CardDeclined(reason="the card is bad") if held.card == "bad" else CardCharged(nights=held.nights)

    @bank.undo(CardCharged)
    async def refund_card(charged: CardCharged, tx: Transaction) -> CardRefunded:
        return CardRefunded()

    return bank


@pytest.fixture
async def trips(server_url: str) -> AsyncIterator[Runtime]:
    """Run the trip saga with rooms for everybody who does not stay too long."""
    settings = Settings(key_prefix=PREFIX, block=timedelta(milliseconds=100))
    async with Runtime(
        server_url, participants=[desk, hotel, shaky_bank()], sagas=[TRIP], settings=settings
    ) as runtime:
        await runtime.change(hotel, lambda tx: tx.set("rooms", {"free": 500}))
        yield runtime


@pytest.fixture
async def bus(server_url: str) -> AsyncIterator[Bus]:
    async with opened(server_url) as bus:
        yield bus


async def booked(trips: Runtime, key: str, *, card: str = "good") -> str:
    """Book a trip and return its saga once that has ended."""
    saga_id = (await trips.begin(TripBooked(nights=1, card=card), key=key, initiator=key)).saga_id
    assert await trips.ended(saga_id) is not None
    return saga_id


async def newest_entry(bus: Bus, stream: str) -> list[list[str]]:
    """Return the fields of a stream's newest entry."""
    reply = await bus.query.execute("XREVRANGE", stream, "+", "-", "COUNT", 1)
    assert isinstance(reply, list)
    return [
        [str(field) for field in entry[1]] for entry in reply if isinstance(entry, list) and isinstance(entry[1], list)
    ]


async def told_until_ended(follower: Follower, saga_id: str) -> StateView:
    """Return a followed saga when its end was announced, as it was told at last."""
    async with asyncio.timeout(BOUND_S):
        while True:
            for change in await follower.changes(SOON):
                if change.view.saga_id == saga_id and has_ended(change.view):
                    return change.view


async def known(follower: Follower, saga_id: str, *, notes: int = 1) -> None:
    """Wait until so much of a saga is recorded."""
    await follower.open()
    async with asyncio.timeout(BOUND_S):
        while (change := await follower.look(saga_id)) is None or len(change.view.history) < notes:
            await follower.changes(SOON)


async def test_sagas_are_listed_newest_first_and_filtered(
    trips: Runtime, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has one line per saga under its head, with the reason of those that did not complete."""
    await booked(trips, "list-1")
    declined = await booked(trips, "list-2", card="bad")

    code = await list_sagas(parser().parse_args(["sagas", "--initiator", "list-2"]), bus, PREFIX, [TRIP])

    head, line = capsys.readouterr().out.splitlines()
    assert code == DONE
    assert head.split() == ["STARTED", "(UTC)", "SAGA", "PROCESS", "STATUS", "FOR", "LASTED", "WHY"]
    assert line.split()[2:6] == [declined, "trip", "Compensated", "list-2"]
    assert line.endswith("charge card: the card is bad")


async def test_a_cursor_leads_to_the_next_page(trips: Runtime, bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed as JSON is the answer of the HTTP route; the cursor goes to standard error for people."""
    begun = [await booked(trips, f"page-{number}") for number in range(3)]

    async def page(*words: str) -> PageView:
        await list_sagas(parser().parse_args(["sagas", "--json", "--limit", "2", *words]), bus, PREFIX, [TRIP])
        return PageView.model_validate_json(capsys.readouterr().out)

    first = await page()
    second = await page("--cursor", str(first.next))
    await list_sagas(parser().parse_args(["sagas", "--limit", "1"]), bus, PREFIX, [TRIP])

    assert [saga.saga_id for saga in (*first.sagas, *second.sagas)][:3] == begun[::-1]
    assert "--cursor " in capsys.readouterr().err


async def test_a_saga_is_shown(trips: Runtime, bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
    """Its timeline for people, its state for programs."""
    saga_id = await booked(trips, "shown", card="bad")

    await show_saga(parser().parse_args(["show", saga_id]), bus, PREFIX, [TRIP])
    drawn = capsys.readouterr().out
    await show_saga(parser().parse_args(["show", "--json", saga_id]), bus, PREFIX, [TRIP])
    state = StateView.model_validate_json(capsys.readouterr().out)

    assert "✗ refused      charge card  bank   CardDeclined: the card is bad" in drawn
    assert "↶ undone       hold room    hotel  RoomGivenBack" in drawn
    assert (state.saga_id, state.status) == (saga_id, "Compensated")


@pytest.mark.parametrize("words", [["show", "unknown"], ["watch", "unknown"]])
async def test_a_saga_nobody_knows_has_its_own_exit_code(
    words: list[str], bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    look = show_saga if words[0] == "show" else watch

    assert await look(parser().parse_args(words), bus, PREFIX, [TRIP]) == NO_SUCH_SAGA
    assert capsys.readouterr().err.count("\n") == 1


async def test_a_saga_that_nobody_has_read_of_yet_is_told_from_one_that_never_was(
    bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    """No coordinator runs here."""
    begun = await Entrance(desk, bus=bus, settings=Settings(key_prefix="unread:")).begin(TripBooked(nights=1), key="1")

    code = await show_saga(parser().parse_args(["show", begun.saga_id]), bus, "unread:", [TRIP])

    assert code == NO_SUCH_SAGA
    assert "which desk began at 20" in capsys.readouterr().err


@pytest.mark.parametrize(("card", "code"), [("good", DONE), ("bad", ENDED_OTHERWISE)])
async def test_watching_a_saga_ends_with_it(
    card: str, code: int, trips: Runtime, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code tells whether it completed; one that ended long ago is drawn and that is it."""
    saga_id = await booked(trips, f"watched-{card}", card=card)

    assert await watch(parser().parse_args(["watch", saga_id]), bus, PREFIX, [TRIP]) == code
    assert "■ ended" in capsys.readouterr().out


async def test_a_saga_is_watched_while_it_goes_on(trips: Runtime, bus: Bus, capsys: pytest.CaptureFixture[str]) -> None:
    """Each happening is one JSON line, told once, up to the end; a retry is one of them."""
    begun = await trips.begin(TripBooked(nights=1, card="shaky"), key="live")
    await known(Follower([TRIP], bus=bus, prefix=PREFIX, only=begun.saga_id), begun.saga_id)

    code = await watch(parser().parse_args(["watch", "--json", begun.saga_id]), bus, PREFIX, [TRIP])

    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert code == DONE
    assert len({note["id"] for note in told}) == len(told)
    assert [note["type"] for note in told if note["kind"] == "done"] == [
        "TripBooked", "RoomHeld", "CardCharged", "TripConfirmed",
    ]  # fmt: skip
    (retry,) = [note for note in told if note["kind"] == RETRY]
    assert retry["step"] == "charge card"
    # Who looks cannot tell one that waits from one that is being tried: "in" would be untrue of the latter.
    assert retry["reason"].startswith("failed once, tried again within ")
    assert retry["reason"].endswith(" s: ConnectionError: the bank is down")
    assert told[-1]["type"] == "SagaCompleted"
    assert {(note["sagaId"], note["status"]) for note in told[-1:]} == {(begun.saga_id, "Completed")}


async def test_all_sagas_are_watched_one_line_each(
    trips: Runtime, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    """What began before is no news; of what comes nothing is left out and nothing told twice."""
    await booked(trips, "before")
    watching = asyncio.create_task(watch(parser().parse_args(["watch"]), bus, PREFIX, [TRIP]))
    told, number = "", 0
    async with asyncio.timeout(BOUND_S):
        while "■ ended" not in told:  # a trip may begin before the watch has noted where the streams end
            number += 1
            await booked(trips, f"during-{number}")
            await asyncio.sleep(0.05)
            told += capsys.readouterr().out
        last = await booked(trips, "during", card="bad")
        while not any(last in line and "■ ended" in line for line in told.splitlines()):
            await asyncio.sleep(0.05)
            told += capsys.readouterr().out
    watching.cancel()

    mine = [line.partition(last)[2].split()[1] for line in told.splitlines() if last in line]
    assert mine == ["began", "done", "refused", "turned", "asked", "undone", "asked", "undone", "ended"]


async def test_an_event_that_is_delivered_again_is_seen(trips: Runtime, bus: Bus) -> None:
    """Only who reads the streams can know; the history keeps each event once."""
    follower = Follower([TRIP], bus=bus, prefix=PREFIX)
    await follower.open()
    saga_id = await booked(trips, "twice")
    before = await told_until_ended(follower, saga_id)
    stream = Keys(PREFIX, "desk").events("TripBooked")
    (newest,) = await newest_entry(bus, stream)

    await bus.writer.execute("XADD", stream, "*", *newest)
    after = await told_until_ended(follower, saga_id)

    assert [note.kind for note in after.history if note not in before.history] == [REPEATED]
    assert after.status == before.status


async def test_who_follows_late_is_told_what_comes(trips: Runtime, bus: Bus) -> None:
    """A saga first heard of at its end brings its whole view, and as news only what is new."""
    begun = await trips.begin(TripBooked(nights=1, card="shaky"), key="late")
    await known(Follower([TRIP], bus=bus, prefix=PREFIX, only=begun.saga_id), begun.saga_id, notes=3)
    follower = Follower([TRIP], bus=bus, prefix=PREFIX)
    await follower.open()

    changes: list[Change] = []
    async with asyncio.timeout(BOUND_S):
        while not changes or not has_ended(changes[-1].view):
            changes += await follower.changes(SOON)

    new = [note.type for change in changes for note in change.view.history if note.id in change.new]
    assert new == ["CardCharged", "TripConfirmed", "SagaCompleted"]
    assert [step.status for step in changes[-1].view.steps] == ["Done"] * 4


def test_a_store_is_named_once(
    server_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same name again is fine, another one is refused."""
    monkeypatch.setenv("REDIS_URL", server_url)
    monkeypatch.setenv("KEY_PREFIX", "named:")

    codes = [main(["init", name]) for name in ("shop", "shop", "other")]

    told = capsys.readouterr()
    assert codes == [DONE, DONE, FAILED]
    assert "STORE=shop" in told.out
    assert "another name" in told.err
