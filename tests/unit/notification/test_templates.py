"""What is written to customers says the same as text and as HTML, and nothing breaks out of either."""

from __future__ import annotations

from email.policy import EmailPolicy
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notification_service import model, templates
from notification_service.channels import Receipt
from notification_service.model import Kind, Notice


class Reader(HTMLParser):
    """Reads the words and the tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())


@pytest.mark.parametrize(
    "text", [templates.confirmation("f" * 32, 123_456_789, "EUR"), templates.cancellation("f" * 32)]
)
def test_mail_carries_it_as_it_is(text: templates.Text) -> None:
    """Its lines are short also with the ids of the shop; a longer one would be encoded, for no reader's use."""
    assert max(len(line) for line in (text.body + text.html).splitlines()) <= EmailPolicy().max_line_length


TAGS = Reader(templates.confirmation("order-1", 1, "EUR").html).tags


@pytest.mark.parametrize(
    ("cents", "code", "amount"),
    [(29_999, "EUR", "299.99 EUR"), (1000, "JPY", "1000 JPY"), (5, "KWD", "0.005 KWD")],
)
def test_a_confirmation_names_what_was_charged(cents: int, code: str, amount: str) -> None:
    """In both forms, with the currency's own decimals."""
    text = templates.confirmation("order-1", cents, code)

    assert "order-1" in text.subject
    assert amount in text.body
    assert amount in Reader(text.html).words


def test_a_cancellation_says_what_becomes_of_the_money() -> None:
    """Not that it is back: it is sent while a refund may still fail and be tried again."""
    text = templates.cancellation("order-1")

    assert "order-1 is cancelled" in text.subject
    assert "Whatever was charged for it is given back." in text.body


@pytest.mark.parametrize("text", [templates.confirmation("order-1", 1, "EUR"), templates.cancellation("order-1")])
def test_both_forms_say_the_same(text: templates.Text) -> None:
    """Whoever reads the one has missed nothing of the other."""
    words = " ".join(Reader(text.html).words)

    assert all(paragraph in words for paragraph in text.body.split("\n\n")[:-1])
    assert all(part in words for line in text.body.split("\n\n")[-1].splitlines() for part in line.split(": "))


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=40))
def test_whatever_an_id_holds_it_stays_words(order_id: str) -> None:
    """No tag, no entity and no attribute comes from what is filled in."""
    text = templates.confirmation(order_id, 1, "EUR")

    read = Reader(text.html)

    assert read.tags == TAGS
    if order_id.strip():
        assert f"Your order {order_id} is confirmed" in read.words


@pytest.mark.parametrize("order_id", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "&lt;b&gt;", "$subject"])
def test_markup_in_an_id_is_shown_and_not_obeyed(order_id: str) -> None:
    html = templates.cancellation(order_id).html

    assert Reader(html).tags == Reader(templates.cancellation("harmless").html).tags
    assert f"Your order {order_id} is cancelled" in Reader(html).words


def test_words_of_another_version_are_not_made_up() -> None:
    """What was sent may have read differently."""
    notice = model.notice("o", Kind.CONFIRMATION, Receipt("email", "id"), 1, total_cents=5, currency="EUR")
    older = Notice("o", Kind.CONFIRMATION, notice.status, "email", 1, template=templates.VERSION - 1)

    assert model.text(notice) is not None
    assert model.text(older) is None
