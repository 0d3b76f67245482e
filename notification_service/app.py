"""The notification service: wiring, nothing else."""

from __future__ import annotations

from pathlib import Path

from notification_service.api import notification_routes
from notification_service.channels import Channel, MailOrOutbox
from notification_service.handlers import notification
from notification_service.outbox import FileOutbox
from notification_service.settings import NotificationSettings
from notification_service.smtp import SmtpChannel, SmtpServer
from sagastream import Consumer, Reader
from sagastream.keys import Keys
from sagastream.service import Context, Service


def create_service(context: Context) -> Service:
    """Return the notification service."""
    settings = NotificationSettings()
    consumer = Consumer(
        notification,
        bus=context.bus,
        settings=context.settings,
        telemetry=context.telemetry,
        resources={Channel: channel(settings, context.settings.data_dir)},
    )
    reader = Reader(context.bus.query, Keys(context.settings.key_prefix, notification.name))
    return Service(name="notification-service", routers=[notification_routes(reader)], workers=[consumer], port=8004)


def channel(settings: NotificationSettings, data_dir: Path) -> Channel:
    """Return the channel to customers: files, or mail for customers with an address once a mail server is set."""
    outbox = FileOutbox(outbox_path(data_dir), sender=settings.mail_from)
    if settings.smtp_url is None:
        return outbox
    mail = SmtpChannel(
        SmtpServer.of(settings.smtp_url.get_secret_value()),
        sender=settings.mail_from,
        timeout=settings.smtp_timeout,
        connections=settings.smtp_connections,
    )
    return MailOrOutbox(mail, outbox)


def outbox_path(data_dir: Path) -> Path:
    """Return the directory of messages that were not mailed."""
    return data_dir / "outbox"
