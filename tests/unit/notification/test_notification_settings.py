"""The surroundings may decide about notifications only what can work."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from notification_service.mail import mail
from notification_service.settings import NotificationSettings
from tests.unit.notification.postmaster import MESSAGE


@pytest.mark.parametrize("sender", ["shop@example.org", "no-reply+orders@mail.example.org", "x" * 64 + "@example.org"])
def test_mail_can_be_written_from_whoever_is_named(sender: str) -> None:
    assert mail(MESSAGE, NotificationSettings(mail_from=sender).mail_from)["From"] == sender


@pytest.mark.parametrize(
    "sender",
    ["shop", "the shop@example.org", "shop@[192.0.2.1]", "shop,orders@example.org", 'the"shop"@example.org',
     "x" * 65 + "@example.org", "shop@" + "x" * 191, "lädchen@example.org", "shop@bücher.example"],
)  # fmt: skip
def test_a_sender_from_whom_no_mail_can_be_written_is_refused_at_the_start(sender: str) -> None:
    """Else every message would be refused for good, as if the customer's address were at fault, or never be sent."""
    with pytest.raises(ValidationError, match="mail_from"):
        NotificationSettings(mail_from=sender)
