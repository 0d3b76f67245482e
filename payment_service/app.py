"""The payment service, and the simulated provider as a service of its own: wiring, nothing else."""

from __future__ import annotations

from pathlib import Path

from payment_service.api import payment_routes
from payment_service.direct_gateway import DirectGateway
from payment_service.gateway import Gateway
from payment_service.handlers import payment
from payment_service.http_gateway import HttpGateway, ProviderConnections
from payment_service.provider import Delays, Provider
from payment_service.provider_api import provider_routes
from payment_service.provider_record import FileRecord
from payment_service.settings import PaymentSettings, ProviderSettings
from sagastream import Consumer, Reader
from sagastream.keys import Keys
from sagastream.service import Context, Service


def create_service(context: Context) -> Service:
    """Return the payment service, with the provider inside unless ``PAYMENT_PROVIDER_URL`` names one."""
    settings = PaymentSettings()
    resource: Provider | ProviderConnections
    gateway: Gateway
    if settings.payment_provider_url is None:
        resource = simulated_provider(context.settings.data_dir)
        gateway = DirectGateway(resource, timeout=settings.payment_timeout)
    else:
        resource = ProviderConnections()
        gateway = HttpGateway(resource, settings.payment_provider_url, timeout=settings.payment_timeout)
    consumer = Consumer(
        payment,
        bus=context.bus,
        settings=context.settings,
        telemetry=context.telemetry,
        resources={Gateway: gateway},
    )
    reader = Reader(context.bus.query, Keys(context.settings.key_prefix, payment.name))
    return Service(
        name="payment-service",
        routers=[payment_routes(reader)],
        workers=[consumer],
        resources=[resource],
        port=8003,
    )


def create_provider_service(context: Context) -> Service:
    """Return the provider as a service of its own, so that its work on a call outlives the calling worker."""
    provider = simulated_provider(context.settings.data_dir)
    return Service(name="payment-provider", routers=[provider_routes(provider)], resources=[provider], port=8006)


def simulated_provider(data_dir: Path) -> Provider:
    """Return the provider, not yet opened, whose record is kept under the data directory."""
    settings = ProviderSettings()
    return Provider(
        FileRecord(record_path(data_dir)),
        delays=Delays(slow=settings.provider_slow, silence=settings.provider_silence),
    )


def record_path(data_dir: Path) -> Path:
    """Return the path of the provider's record, for comparing the books."""
    return data_dir / "provider" / "calls.jsonl"
