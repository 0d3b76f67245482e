"""The messages to customers, as text and as HTML. Pure; knows no channel.

Both forms are made from the same words, so they have the same content; every inserted value is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from money import currency

VERSION = 2
"""Raise it with every change of the words: messages written by another version are no longer shown."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message as text and as HTML."""

    subject: str
    body: str
    html: str


def confirmation(order_id: str, total_cents: int, currency_code: str) -> Text:
    """Return the message that the order is confirmed, with the amount charged."""
    total = f"{currency(currency_code).show(total_cents)} {currency_code}"
    return _text(
        f"Your order {order_id} is confirmed",
        ("Good day,", f"your order {order_id} is confirmed.\n{total} were charged.", "Thank you for buying from us."),
        {"Order": order_id, "Charged": total},
    )


def cancellation(order_id: str) -> Text:
    """Return the message that the order is cancelled and that no money is kept: a refund may still be on its way."""
    words = f"your order {order_id} is cancelled.\nWhatever was charged for it is given back."
    return _text(f"Your order {order_id} is cancelled", ("Good day,", words), {"Order": order_id})


def _text(subject: str, paragraphs: tuple[str, ...], facts: dict[str, str]) -> Text:
    shown = "\n".join(f"{name}: {value}" for name, value in facts.items())
    return Text(
        subject=subject,
        body="\n\n".join((*paragraphs, shown)) + "\n",
        html=_html(
            escape(subject),
            "\n".join(f"<p>{escape(words)}</p>" for words in paragraphs),
            "\n".join(
                f'<tr>\n<th scope="row" style="padding-right: 2em; text-align: left">{escape(name)}</th>\n'
                f"<td>{escape(value)}</td>\n</tr>"
                for name, value in facts.items()
            ),
        ),
    )


def _html(subject: str, paragraphs: str, rows: str) -> str:
    """Return a page from parts that are already HTML; styles are inline, because mail readers drop all others.

    Lines are short, so that most mail servers transport the page unencoded.
    """
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{subject}</title>
</head>
<body style="margin: 2em auto; max-width: 36em;
font-family: sans-serif; line-height: 1.5">
<h1 style="font-size: 1.3em">
{subject}
</h1>
{paragraphs}
<table style="border-top: 1px solid">
{rows}
</table>
</body>
</html>
"""
