"""The notification handlers, each run twice, on the real transaction and a channel that remembers."""

from __future__ import annotations

import pytest

from events import (
    CancellationNoticeSent,
    NotificationFailed,
    NotificationSent,
    OrderCancelled,
    OrderConfirmed,
)
from notification_service import handlers, model, store, templates
from notification_service.channels import Message, NotSent, Receipt, Undeliverable
from notification_service.model import Kind, Notice, Status
from tests.unit.slot import NOW_MS, Slot

CONFIRMED = OrderConfirmed(order_id="order-1", total_cents=29_999, currency="EUR", email="ada@example.com")
CANCELLED = OrderCancelled(order_id="order-1", email="ada@example.com")


class Letterbox:
    """A channel that answers as told and keeps messages by their key."""

    def __init__(self, answer: Receipt | Undeliverable | None = None) -> None:
        self.kept: dict[str, Message] = {}
        self._answer = answer

    async def send(self, message: Message) -> Receipt | Undeliverable:
        """Keep it."""
        self.kept[message.key] = message
        return self._answer or Receipt("email", f"<{message.key}>")


@pytest.fixture
def desk() -> Slot:
    """Return a desk with an empty server."""
    return Slot("notification")


async def test_a_confirmed_order_is_told_once(desk: Slot) -> None:
    """Both attempts send the same message, say the same, and one notice is stored."""
    letterbox = Letterbox()
    for _ in range(2):
        tx = desk.transaction("notify")
        event = await handlers.notify(CONFIRMED, tx, letterbox)
        assert (await desk.commit(tx))[0].is_ok

        assert event == NotificationSent(order_id="order-1", channel="email")

    (message,) = letterbox.kept.values()
    assert message.to == "ada@example.com"
    assert "299.99 EUR" in message.body
    assert await store.load(desk.reader, "order-1") == (
        Notice(
            "order-1",
            Kind.CONFIRMATION,
            Status.SENT,
            "email",
            NOW_MS,
            message_id="<saga-1.notify>",
            template=templates.VERSION,
            total_cents=29_999,
            currency="EUR",
        ),
    )
    assert await desk.reader.members(store.NOTIFICATIONS) == ["order-1"]


async def test_a_cancelled_order_is_told_once(desk: Slot) -> None:
    letterbox = Letterbox()
    for _ in range(2):
        tx = desk.transaction("tell_cancelled")
        event = await handlers.tell_cancelled(CANCELLED, tx, letterbox)
        assert (await desk.commit(tx))[0].is_ok

        assert event == CancellationNoticeSent(order_id="order-1", channel="email")

    (message,) = letterbox.kept.values()
    assert "cancelled" in message.subject
    assert [notice.kind for notice in await store.load(desk.reader, "order-1")] == [Kind.CANCELLATION]


@pytest.mark.parametrize("email", [None, ""])
async def test_without_an_address_the_message_is_about_the_order(desk: Slot, email: str | None) -> None:
    letterbox = Letterbox()

    await handlers.notify(CONFIRMED.model_copy(update={"email": email}), desk.transaction("notify"), letterbox)

    (message,) = letterbox.kept.values()
    assert (message.to, message.order_id) == (None, "order-1")


async def test_a_customer_who_cannot_be_told_is_a_refusal(desk: Slot) -> None:
    letterbox = Letterbox(Undeliverable("email", "refused for good (550)"))
    for _ in range(2):
        tx = desk.transaction("notify")
        event = await handlers.notify(CONFIRMED, tx, letterbox)
        assert (await desk.commit(tx))[0].is_ok

        assert event == NotificationFailed(order_id="order-1", reason="refused for good (550)")

    (notice,) = await store.load(desk.reader, "order-1")
    assert (notice.status, notice.reason) == (Status.REFUSED, "refused for good (550)")


async def test_a_cancellation_that_cannot_be_told_is_stored_and_announced_to_nobody(desk: Slot) -> None:
    """No event claims that a notice was sent."""
    tx = desk.transaction("tell_cancelled")

    assert await handlers.tell_cancelled(CANCELLED, tx, Letterbox(Undeliverable("email", "refused"))) is None

    assert (await desk.commit(tx))[0].is_ok
    (notice,) = await store.load(desk.reader, "order-1")
    assert (notice.kind, notice.status) == (Kind.CANCELLATION, Status.REFUSED)


async def test_trouble_that_passes_decides_nothing(desk: Slot) -> None:
    class Down:
        async def send(self, message: Message) -> Receipt | Undeliverable:
            raise NotSent("later")

    with pytest.raises(NotSent):
        await handlers.notify(CONFIRMED, desk.transaction("notify"), Down())
    with pytest.raises(NotSent):
        await handlers.tell_cancelled(CANCELLED, desk.transaction("tell_cancelled"), Down())


async def test_notices_of_both_kinds_stand_beside_each_other(desk: Slot) -> None:
    """Should an order ever get both, neither hides the other from the books."""
    tx = desk.transaction("notify")
    await handlers.notify(CONFIRMED, tx, Letterbox())
    assert (await desk.commit(tx))[0].is_ok
    tx = desk.transaction("tell_cancelled")
    await handlers.tell_cancelled(CANCELLED, tx, Letterbox())
    assert (await desk.commit(tx))[0].is_ok

    assert [notice.kind for notice in await store.load(desk.reader, "order-1")] == [
        Kind.CONFIRMATION,
        Kind.CANCELLATION,
    ]


@pytest.mark.parametrize("kind", Kind)
async def test_what_was_written_can_be_read_again(desk: Slot, kind: Kind) -> None:
    """Word for word from what is stored, although no word is."""
    letterbox = Letterbox()
    tx = desk.transaction("any")
    if kind is Kind.CONFIRMATION:
        await handlers.notify(CONFIRMED, tx, letterbox)
    else:
        await handlers.tell_cancelled(CANCELLED, tx, letterbox)
    assert (await desk.commit(tx))[0].is_ok

    (notice,) = await store.load(desk.reader, "order-1")

    (message,) = letterbox.kept.values()
    assert model.text(notice) == templates.Text(message.subject, message.body, message.html)


async def test_no_address_is_stored(desk: Slot) -> None:
    tx = desk.transaction("notify")
    await handlers.notify(CONFIRMED, tx, Letterbox())
    assert (await desk.commit(tx))[0].is_ok

    assert "ada" not in str(await desk.reader.read_all(store.notification_key("order-1")))
