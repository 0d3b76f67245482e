"""What can be told to be personal by its form is masked, and nothing else is."""

from __future__ import annotations

import json
import uuid

import pytest

from sagastream.masking import MASK, masked, masked_all, masked_json, masked_message


@pytest.mark.parametrize(
    "text",
    [
        "ann.meier@example.org",
        "Ann_M+shop@mail.example.co.uk",
        "o'neil@example.org",
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "30569309025904",
        "6304000000000000000",
    ],
)
def test_addresses_and_card_numbers_are_masked_wherever_they_stand(text: str) -> None:
    assert masked(text) == MASK
    assert masked(f"told {text}, and again:{text}.") == f"told {MASK}, and again:{MASK}."
    assert json.loads(masked(json.dumps({"any": text}))) == {"any": MASK}


@pytest.mark.parametrize(
    "text",
    [
        "1700000000000-0",  # an entry
        "1700000000000",  # milliseconds
        "4111111111111112",  # no check digit
        "9875ada24959509786963e93cd2b4098",
        "saga:{stock}:events:StockReserved|1700000000000-12",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "order-4111111111111111",  # part of an id
        "2026-11-29T03:39:30.123456Z",
        "product-1 at 149.99 EUR, 1000000 pieces",
        "@hotel.on",
    ],
)
def test_what_is_neither_stays(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (r'{"why":"pay with\n4111111111111111"}', r'{"why":"pay with\n***"}'),
        (r'{"why":"call\nann@example.org"}', r'{"why":"call\n***"}'),
        (r'{"why":"ann\u0040example.org, \u0034111 1111 1111 1111"}', '{"why":"***, ***"}'),
        (r'{"ann\u0040example.org":[{"a":"ann@example.org"}]}', '{"***":[{"a":"***"}]}'),
        ('{"sum":1.10,"to":"ann@example.org"}', '{"sum":1.10,"to":"***"}'),
        ('{"card":4111111111111111}', '{"card":***}'),
        ('no JSON, "from ann@example.org', 'no JSON, "from ***'),
        ('"ann@example.org" and "', '"***" and "'),
        (r'{"who":"Zo\u00eb \ud800","sum":1.10}', r'{"who":"Zo\u00eb \ud800","sum":1.10}'),
    ],
)
def test_no_way_of_writing_json_hides_anything(sent: str, shown: str) -> None:
    """What is masked is still JSON, and everything else in it stays as it was written."""
    assert masked_json(sent) == shown
    assert masked_message({"data": sent, "source": "ann@example.org"}) == {"data": shown, "source": MASK}


def test_what_an_error_quotes_is_masked_behind_an_escaped_line() -> None:
    assert masked(repr("pay with\n4111111111111111")) == r"'pay with\n***'"


def test_ids_stay() -> None:
    """The ids of a saga's events are looked for by those who read a log."""
    ids = [uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128) for number in range(5000)]

    assert [each for each in ids if masked(str(each)) != str(each) or masked(each.hex) != each.hex] == []


def test_a_value_is_masked_through_and_through() -> None:
    value = {"at": 1, "why": ["a@b.example", None], "error": ValueError("4111111111111111"), "is": True}

    assert masked_all(value) == {"at": 1, "why": [MASK, None], "error": MASK, "is": True}
