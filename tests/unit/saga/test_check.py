"""What `sagastream check` finds before anything runs.

It is long because every mistake needs a participant that makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.order_saga import ORDER
from notification_service.handlers import notification
from order_service.handlers import order
from payment_service.handlers import payment
from sagastream import Event, Participant, Refusal, Retry, Saga, Step, Transaction
from sagastream.saga.check import check
from stock_service.handlers import stock
from tests import trip
from tests.trip import TRIP


class Begun(Event, by="office"): ...


class Closed(Event, by="office"): ...


class Made(Event, by="shed"): ...


class NotMade(Refusal, by="shed"): ...


class Unmade(Event, by="shed"): ...


class Sent(Event, by="office"): ...


class Elsewhere(Event, by="nobody-here"): ...


JOB = Saga(
    "job",
    version=2,
    begins_with=Begun,
    cancelled_by=Closed,
    steps=(
        Step("make", by="shed", done=Made, refused=NotMade, undone=Unmade, within=timedelta(seconds=8)),
        Step("send", by="office", done=Sent, pivot=True, within=timedelta(seconds=30)),
    ),
)


async def make(begun: Begun, tx: Transaction) -> Made | NotMade:
    return Made()


async def make_always(begun: Begun, tx: Transaction) -> Made:
    return Made()


async def make_somehow(begun: Begun, tx: Transaction) -> Made | NotMade | TooBig:
    return Made()


async def make_perhaps(begun: Begun, tx: Transaction) -> Made | NotMade | None:
    return None


async def make_late(sent: Sent, tx: Transaction) -> Made | NotMade:
    return Made()


async def unmake(made: Made, tx: Transaction) -> Unmade:
    return Unmade()


async def unmake_silently(made: Made, tx: Transaction) -> None:
    return None


async def settle(begun: Begun, tx: Transaction) -> Made | None:
    return Made()


async def send(made: Made, tx: Transaction) -> Sent:
    return Sent()


async def unsend(sent: Sent, tx: Transaction) -> Closed:
    return Closed()


async def close(begun: Begun, tx: Transaction) -> Closed:
    return Closed()


async def wonder(elsewhere: Elsewhere, tx: Transaction) -> None:
    return None


async def look(unmade: Unmade, tx: Transaction) -> None:
    return None


class TooBig(Refusal, by="shed"): ...


def office() -> Participant:
    """Return an office without fault."""
    sound = Participant("office")
    sound.begins(Begun, saga="job", version=2)
    sound.on(Made)(send)
    sound.undo(Begun)(close)
    return sound


def shed() -> Participant:
    """Return a shed without fault."""
    sound = Participant("shed")
    sound.on(Begun)(make)
    sound.undo(Made)(unmake)
    return sound


def watcher() -> Participant:
    """Return somebody who takes no part and listens."""
    listening = Participant("watcher")
    listening.on(Unmade)(look)
    return listening


def bare_office(declare: Callable[[Participant], object]) -> list[Participant]:
    """Return both, with an office that declares this and sends."""
    bare = Participant("office")
    bare.on(Made)(send)
    declare(bare)
    return [bare, shed()]


def bare_shed(*declare: Callable[[Participant], object]) -> list[Participant]:
    """Return both, with a shed that declares this alone."""
    bare = Participant("shed")
    for one in declare:
        one(bare)
    return [office(), bare]


def test_the_shop_is_sound() -> None:
    assert check([ORDER], [order, stock, payment, notification]) == []


def test_a_strangers_saga_is_sound() -> None:
    assert check([TRIP], [trip.desk, trip.hotel, trip.bank]) == []


def test_the_example_is_sound_but_for_what_the_cases_below_change() -> None:
    assert check([JOB], [office(), shed()]) == []


def with_undo(participant: Participant) -> None:
    participant.undo(Made)(unmake)


@pytest.mark.parametrize(
    ("participants", "expected"),
    [
        ([office()], "saga 'job': no participant is named 'shed'"),
        ([office(), shed(), shed()], "two participants are named 'shed'"),
        (bare_shed(with_undo), "saga 'job': nobody performs 'make': no handler of 'shed' returns Made"),
        (
            bare_shed(with_undo, lambda it: it.on(Begun)(make_always)),
            "saga 'job': nobody publishes NotMade: shed.make_always does not return it",
        ),
        (
            bare_shed(with_undo, lambda it: it.on(Begun)(make_somehow)),
            "saga 'job': shed.make_somehow may refuse 'make' by TooBig, which the table does not name",
        ),
        (
            bare_shed(with_undo, lambda it: it.on(Begun)(make_perhaps)),
            "saga 'job': shed.make_perhaps may return None, and 'make' would then be neither done nor refused",
        ),
        (
            bare_shed(with_undo, lambda it: it.on(Sent)(make_late)),
            "saga 'job': shed.make_late performs 'make' on Sent, but the step before it says done by Begun",
        ),
        (
            bare_shed(lambda it: it.on(Begun)(make)),
            "saga 'job': nobody undoes 'make': 'shed' has no @undo for Made",
        ),
        (
            bare_shed(lambda it: it.on(Begun)(make), lambda it: it.undo(Made)(unmake_silently)),
            "saga 'job': nobody publishes Unmade: shed.unmake_silently does not return it",
        ),
        (
            bare_shed(with_undo, lambda it: it.on(Begun, outside=True)(make)),
            "saga 'job': 'make' calls outside before it is certain, and 'shed' has no @close for Made",
        ),
        (
            bare_shed(with_undo, lambda it: it.on(Begun)(make), lambda it: it.close(Made)(settle)),
            "saga 'job': 'shed' has a @close for Made, yet shed.make, which performs 'make', does not say outside=True",
        ),
        (
            bare_shed(with_undo, lambda it: it.on(Begun, retry=Retry(attempts=6))(make)),
            "saga 'job': the retries of shed.make may take 15.5 s, but 'make' must be done within 8 s",
        ),
        (
            bare_office(lambda it: it.undo(Begun)(close)),
            "saga 'job': nobody begins it: 'office' does not declare begins(Begun, …)",
        ),
        (
            bare_office(lambda it: it.begins(Begun, saga="job", version=1)),
            "saga 'job': 'office' declares that Begun begins 'job' version 1, the table is 'job' version 2",
        ),
        (
            bare_office(lambda it: it.begins(Begun, saga="job", version=2)),
            "saga 'job': nobody undoes its beginning: 'office' has no @undo for Begun",
        ),
        (
            bare_office(lambda it: it.undo(Sent)(unsend)),
            "saga 'job': 'send' is never undone, yet 'office' offers @undo for Sent",
        ),
        (
            bare_shed(with_undo, lambda it: it.on(Begun)(make), lambda it: it.close(Unmade)(settle)),
            "participant 'shed': it offers @close for Unmade, which is no step of any saga",
        ),
        (
            bare_office(lambda it: it.on(Elsewhere)(wonder)),
            "office.wonder handles Elsewhere, which nobody publishes",
        ),
        (
            [*bare_shed(lambda it: it.on(Begun)(make)), watcher()],
            "watcher.look handles Unmade, which nobody publishes",
        ),
    ],
)
def test_what_does_not_fit_is_named(participants: list[Participant], expected: str) -> None:
    assert expected in check([JOB], participants)


def test_an_outside_step_with_a_way_to_close_it_is_sound() -> None:
    cast = bare_shed(with_undo, lambda it: it.on(Begun, outside=True)(make), lambda it: it.close(Made)(settle))

    assert check([JOB], cast) == []


def test_an_unknown_beginning_and_an_undo_of_nothing_are_named() -> None:
    assert check([], [office()]) == [
        "participant 'office': it offers @undo for Begun, which is no step of any saga",
        "participant 'office': it begins 'job' by Begun, and there is no such saga",
        "office.send handles Made, which nobody publishes",
    ]


class Asked(Event, by="office"): ...


class Dug(Event, by="shed"): ...


class Undug(Event, by="shed"): ...


class Painted(Event, by="painter"): ...


class Unpainted(Event, by="painter"): ...


async def make_asked(asked: Asked, tx: Transaction) -> Made | NotMade:
    return Made()


async def close_asked(asked: Asked, tx: Transaction) -> Closed:
    return Closed()


async def dig(begun: Begun, tx: Transaction) -> Dug:
    return Dug()


async def undig(dug: Dug, tx: Transaction) -> Undug:
    return Undug()


async def admire(painted: Painted, tx: Transaction) -> None:
    return None


def test_what_is_there_for_an_older_version_may_stay() -> None:
    """Its sagas are under way: who began them, who undoes them and what they listened to does not fit the latest."""
    digging = Step("dig", by="shed", done=Dug, undone=Undug, within=timedelta(seconds=8))
    painting = Step("paint", by="painter", done=Painted, undone=Unpainted, within=timedelta(seconds=8))
    older = replace(JOB, version=1, steps=(digging, painting, JOB.steps[1]))
    latest = replace(JOB, begins_with=Asked)
    shed, office = Participant("shed"), Participant("office")
    for saga in (older, latest):
        office.begins(saga.begins_with, saga="job", version=saga.version)
    office.undo(Begun)(close)
    office.undo(Asked)(close_asked)
    office.on(Made)(send)
    office.on(Painted)(admire)  # the painter is gone
    shed.on(Asked)(make_asked)
    shed.on(Begun)(dig)
    shed.undo(Made)(unmake)
    shed.undo(Dug)(undig)

    assert check([older, latest], [shed, office]) == check([latest, older], [shed, office]) == []
    assert len(check([latest], [shed, office])) == 4


def test_two_tables_of_one_version_are_named() -> None:
    """No coordinator starts with them."""
    assert check([JOB, replace(JOB, patience=timedelta(seconds=9))], [office(), shed()]) == [
        "two tables are named 'job' and of version 2"
    ]
