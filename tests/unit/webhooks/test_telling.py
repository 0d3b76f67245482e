"""How every saga ended is told until somebody says that it was received: whoever dies, whoever is down.

It is long because every way in which telling can fail is played between the same teller and receiver.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
import structlog

from sagastream import Saga, series
from sagastream.coordinator.figures import Figures
from sagastream.coordinator.letter import Dealt
from sagastream.coordinator.letters import DeadLetters
from sagastream.coordinator.repair import Repairs
from sagastream.errors import DefinitionError
from sagastream.event import SagaFailed
from sagastream.keys import WEBHOOKS
from sagastream.saga.definition import Step
from sagastream.saga.repair import Act, Action
from sagastream.service import Context
from sagastream.telemetry import Figure, Telemetry
from sagastream.webhooks.participant import Webhooks, webhooks
from sagastream.webhooks.sending import NotDelivered, Sender
from tests.trip import TRIP, CardDeclined, NoRoomLeft, RoomGivenBack, RoomHeld, TripBooked, TripCancelled
from tests.unit.core.test_exported_series import Told
from tests.unit.core.world import SAGA, Wire, World, in_virtual_time
from tests.unit.webhooks.receiver import SECRET, settings

URL = "https://receiver.example/hook?token=of-the-receiver"
TOLD: Mapping[str, Any] = {"webhook_url": URL, "webhook_secret": SECRET, "webhook_attempts": 4}
Answers = Callable[[int], str | None]


class Receiver(Sender):
    """Receives what is sent, or says why not: ``answers`` is asked with the number of the attempt, from 1."""

    def __init__(self, answers: Answers = lambda attempt: None) -> None:
        super().__init__(settings(URL))
        self.answers = answers
        self.came: list[tuple[str, dict[str, Any]]] = []
        self.at: list[float] = []

    async def send(self, id: str, body: bytes) -> None:
        self.came.append((id, json.loads(body)))
        self.at.append(asyncio.get_running_loop().time())
        why = self.answers(len(self.came))
        if why is not None:
            raise NotDelivered(why)

    @property
    def ids(self) -> list[str]:
        return [id for id, _ in self.came]


def world(**further: Any) -> World:  # noqa: ANN401  # any setting
    return World(**TOLD, **further)


def teller(world: World, receiver: Receiver, wire: Wire | None = None, telemetry: Telemetry | None = None) -> Webhooks:
    return Webhooks(
        [TRIP], bus=(wire or world.wire()).bus, settings=world.settings,
        telemetry=telemetry or Telemetry("coordinator"), sender=receiver,
    )  # fmt: skip


async def group_there(world: World, receiver: Receiver) -> None:
    """Let the teller have been here once, so that whatever ends from now on is told."""
    async with world.running(running := teller(world, receiver)):
        await world.until(running.is_ready)


def fail(world: World, saga_id: str = SAGA) -> None:
    """Let a saga end: there was no room, and the trip is cancelled."""
    world.tell(TripBooked(nights=1), saga_id, id=f"{saga_id}-booked")
    world.tell(NoRoomLeft(reason="no rooms left"), saga_id, id=f"{saga_id}-refused")
    world.tell(TripCancelled(), saga_id, id=f"{saga_id}-cancelled")


async def ended(world: World, *saga_ids: str) -> None:
    async with world.running(world.coordinator(TRIP)):
        for saga_id in saga_ids or (SAGA,):
            fail(world, saga_id)
        await world.until(lambda: all(world.status(each) == "Failed" for each in saga_ids or (SAGA,)))


@in_virtual_time
async def test_an_end_is_told_as_the_api_shows_the_saga() -> None:
    """No more than the view of lists, with the instant of the end; each end under a type of its own."""
    here, receiver = world(), Receiver()
    await group_there(here, receiver)
    async with here.running(here.coordinator(TRIP), teller(here, receiver)):
        fail(here)
        here.tell(TripBooked(nights=1), "turned-back", id="booked")
        here.tell(RoomHeld(nights=1, card="bad"), "turned-back", id="held")
        here.tell(CardDeclined(reason="the card is bad"), "turned-back", id="declined")
        here.tell(RoomGivenBack(), "turned-back", id="given-back")
        here.tell(TripCancelled(), "turned-back", id="closed")
        await here.until(lambda: len(receiver.came) == 2)

    told = {body["data"]["sagaId"]: body for _, body in receiver.came}
    failed, compensated = told[SAGA], told["turned-back"]
    assert (failed["type"], compensated["type"]) == ("saga.failed", "saga.compensated")
    assert (failed["data"]["status"], failed["data"]["failureReason"]) == ("Failed", "hold room: no rooms left")
    assert failed["timestamp"] == failed["data"]["failedAt"]
    assert failed["data"].keys() == {
        "sagaId", "businessProcess", "version", "initiatorId", "status", "startedAt", "completedAt", "failedAt",
        "durationMs", "failureReason", "remainingSteps", "waitingFor",
    }  # fmt: skip
    assert len(set(receiver.ids)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in receiver.ids), "an id must hold no full stop"


@in_virtual_time
async def test_the_instant_of_an_end_stays_what_it_was_though_a_ledger_contradicts_it_later() -> None:
    """What is told is the end that was, and the saga as it is at the attempt."""
    here, receiver = world(), Receiver(lambda attempt: "answered 500" if attempt == 1 else None)
    await group_there(here, receiver)
    async with here.running(here.coordinator(TRIP), teller(here, receiver)):
        here.tell(TripBooked(nights=1), id="booked")
        await asyncio.sleep(1)
        here.tell(NoRoomLeft(reason="no rooms left"), id="refused")
        here.tell(TripCancelled(), id="closed")
        await here.until(lambda: len(receiver.came) == 1)
        here.tell(RoomHeld(nights=1, card="good"), id="held-after-all")
        await here.until(lambda: len(receiver.came) == 2)

    first, second = (body for _, body in receiver.came)
    assert (first["data"]["status"], second["data"]["status"]) == ("Failed", "NeedsAttention")
    assert first["type"] == second["type"]
    assert first["timestamp"] == first["data"]["failedAt"] != second["data"]["startedAt"]
    assert second["timestamp"] == first["timestamp"]


@in_virtual_time
async def test_what_ended_before_anybody_was_to_be_told_is_not_told() -> None:
    """Whoever names a receiver today does not want last week's sagas; from then on none is left out."""
    here, receiver = world(), Receiver()
    await ended(here, "before")
    await group_there(here, receiver)
    await ended(here, "while-nobody-told")

    async with here.running(teller(here, receiver)):
        await here.until(lambda: bool(receiver.came))
        await asyncio.sleep(10)

    assert [body["data"]["sagaId"] for _, body in receiver.came] == ["while-nobody-told"]


@in_virtual_time
async def test_a_receiver_that_is_down_for_a_while_is_told_afterwards_under_the_same_id() -> None:
    """After waits that double: at once, 5 s, 10 s, each shortened by chance by half at most."""
    here, receiver = world(), Receiver(lambda attempt: "answered 503" if attempt < 4 else None)
    telemetry = Telemetry("coordinator")
    await group_there(here, receiver)
    await ended(here)

    async with here.running(teller(here, receiver, telemetry=telemetry)):
        await here.until(lambda: len(receiver.came) == 4)
        await here.until(lambda: here.ledger(WEBHOOKS, "tell_failed").state == "done")
        await asyncio.sleep(7200)

    assert len(receiver.came) == 4
    assert len(set(receiver.ids)) == 1
    waits = [after - before for before, after in zip(receiver.at, receiver.at[1:], strict=False)]
    assert all(full / 2 <= wait <= full + 1 for wait, full in zip(waits, (5, 10, 20), strict=True)), waits
    assert here.letters(WEBHOOKS) == []
    told = Told(telemetry.render())
    assert told("webhooks_sent_total", service="coordinator", type="saga.failed") == 1
    assert told("webhooks_failed_total", service="coordinator", type="saga.failed") == 3
    assert told("webhooks_sent_total", service="coordinator", type="saga.completed") == 0


@pytest.mark.parametrize("moment", ["before the webhook", "after the webhook"])
@in_virtual_time
async def test_a_teller_that_dies_loses_none_and_the_next_one_tells_it_under_the_same_id(moment: str) -> None:
    """Killed when it has remembered that it begins, or when the webhook was received and that is not yet remembered."""
    here, receiver = world(), Receiver()
    await group_there(here, receiver)
    await ended(here)
    doomed = here.wire()
    if moment == "before the webhook":
        doomed.die_after("EVALSHA", b"begun")
    else:
        doomed.die_before("EVALSHA", b"done")
    await here.until_dead(teller(here, receiver, doomed), doomed)
    sent_by_the_dead = len(receiver.came)

    async with here.running(teller(here, receiver)):
        await here.until(lambda: here.ledger(WEBHOOKS, "tell_failed").state == "done")
        await here.quiet()

    assert sent_by_the_dead == (0 if moment == "before the webhook" else 1)
    assert len(receiver.came) == sent_by_the_dead + 1
    assert len(set(receiver.ids)) == 1


@in_virtual_time
async def test_a_repeated_event_is_not_told_again() -> None:
    """The ledger knows what was told."""
    here, receiver = world(), Receiver()
    await group_there(here, receiver)
    await ended(here)
    async with here.running(teller(here, receiver)):
        await here.until(lambda: bool(receiver.came))
        here.append("saga", "SagaFailed", here.events("saga", SagaFailed)[0])
        await here.quiet()
        await asyncio.sleep(60)

    assert len(receiver.came) == 1


@in_virtual_time
async def test_what_nobody_receives_becomes_a_letter_and_its_replay_is_told_under_the_same_id() -> None:
    """After the last attempt it lies open where operators look, is counted, and goes on when they say so."""
    here, receiver = world(), Receiver(lambda attempt: "answered 500" if attempt <= 4 else None)
    letters = DeadLetters([TRIP], bus=here.wire().bus, settings=here.settings)
    await group_there(here, receiver)
    await ended(here)

    async with here.running(teller(here, receiver)):
        await here.until(lambda: bool(here.letters(WEBHOOKS)))
        await here.quiet()
        (letter,), _ = await letters.page(letters.owners, None, Dealt.OPEN, None, 10)
        figures = await Figures([TRIP], bus=here.wire().bus, settings=here.settings).read()
        await letters.replay(letter, "ann", "the receiver is mended", None)
        await here.until(lambda: len(receiver.came) == 5)
        await here.quiet()

    assert (letter.place.owner, letter.saga_id, letter.attempts) == (WEBHOOKS, SAGA, 4)
    assert letter.reason == "NotDelivered: answered 500"
    assert Figure(series.OPEN_LETTERS, (WEBHOOKS,), 1) in figures
    assert len(set(receiver.ids)) == 1
    assert here.ledger(WEBHOOKS, "tell_failed").state == "done"
    assert here.history()[-1]["type"] == "DeadLetterReplayed"


@in_virtual_time
async def test_also_the_end_that_a_person_made_can_be_told_again() -> None:
    """A replay to a participant could act against what the person said; one that only tells cannot."""
    here, receiver = world(), Receiver(lambda attempt: "answered 500" if attempt <= 4 else None)
    bus = here.wire().bus
    letters = DeadLetters([TRIP], bus=bus, settings=here.settings)
    await group_there(here, receiver)
    async with here.running(here.coordinator(TRIP), teller(here, receiver)):
        here.tell(TripBooked(nights=1), id="booked")
        await here.until(lambda: here.status() == "Started")
        repairs = Repairs([TRIP], bus=bus, settings=here.settings)
        await repairs.act(SAGA, Action(Act.ABORT, "ann", "the hotel is closed for good"))
        await here.until(lambda: bool(here.letters(WEBHOOKS)))
        (letter,), _ = await letters.page([WEBHOOKS], None, Dealt.OPEN, None, 10)
        await letters.replay(letter, "ann", "the receiver is mended", None)
        await here.until(lambda: len(receiver.came) == 5)

    assert [body["type"] for _, body in receiver.came] == ["saga.aborted"] * 5
    assert len(set(receiver.ids)) == 1


@in_virtual_time
async def test_neither_secret_nor_place_is_ever_logged_or_kept() -> None:
    """Not where an attempt fails, not where the last one does, not in the letter."""
    here = world()
    receiver = Receiver(lambda attempt: "answered 500")
    await group_there(here, receiver)
    with structlog.testing.capture_logs() as logs:
        await ended(here)
        async with here.running(told := teller(here, receiver)):
            await here.until(lambda: bool(here.letters(WEBHOOKS)))
            described = told.describe()

    shown = json.dumps([logs, here.letters(WEBHOOKS), dict(described)], default=str) + repr(here.settings)
    assert "event.buried" in shown
    for secret in (SECRET, SECRET.removeprefix("whsec_"), "of-the-receiver", "receiver.example"):
        assert secret not in shown


def test_nobody_is_told_unless_a_receiver_is_named() -> None:
    @in_virtual_time
    async def play() -> None:
        silent, telling = World(), world()
        for here, workers in ((silent, 0), (telling, 1)):
            context = Context("coordinator", here.settings, here.wire().bus, Telemetry("coordinator"), {})
            found = webhooks([TRIP], bus=context.bus, settings=context.settings, telemetry=context.telemetry)
            assert len(found) == workers

    play()


def test_no_participant_of_a_saga_can_have_the_tellers_name() -> None:
    @in_virtual_time
    async def play() -> None:
        here = world()
        step = Step("tell", by=WEBHOOKS, done=RoomHeld, within=timedelta(seconds=1))
        with pytest.raises(DefinitionError, match="webhooks"):
            webhooks(
                [Saga("told", 1, begins_with=TripBooked, steps=(step,))], bus=here.wire().bus, settings=here.settings,
                telemetry=Telemetry("coordinator"),
            )  # fmt: skip

    play()
