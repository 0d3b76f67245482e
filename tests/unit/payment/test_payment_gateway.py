"""One suite for both gateways, on the same simulated provider, in virtual time.

It is long because each scene is played by both gateways, and what only HTTP can do wrong follows.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import aiohttp
import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from payment_service.direct_gateway import DirectGateway
from payment_service.gateway import Charged, Closed, Gateway, OutcomeUnknown, Refund, Refused
from payment_service.http_gateway import Answer, HttpGateway, ProviderConnections
from payment_service.provider import Delays, Provider
from payment_service.provider_api import provider_routes
from payment_service.provider_books import Call, Outcome
from payment_service.provider_record import MemoryRecord
from sagastream import Settings, tracing
from sagastream.testing.virtual_time import VirtualTimeLoop, run

T = TypeVar("T")
TIMEOUT = timedelta(seconds=5)
URL = "http://provider"
DELAYS = Delays(slow=timedelta(seconds=2), silence=timedelta(seconds=30))
Play = Callable[[Gateway, MemoryRecord], Coroutine[object, object, T]]


class Carried:
    """Carries requests where no socket is: through one of httpx's transports. Implements ``Exchange``."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Answer:
        """Return the answer."""
        asked = httpx.Request("POST", url, headers=dict(headers), content=content)
        answer = await self._transport.handle_async_request(asked)
        return Answer(answer.status_code, await answer.aread())


@asynccontextmanager
async def direct(record: MemoryRecord) -> AsyncIterator[Gateway]:
    """Yield a gateway to a provider in the same process."""
    async with Provider(record, delays=DELAYS, now_ms=now_ms) as provider:
        yield DirectGateway(provider, timeout=TIMEOUT)


@asynccontextmanager
async def http(record: MemoryRecord) -> AsyncIterator[Gateway]:
    """Yield a gateway to a provider behind HTTP."""
    app = FastAPI()
    async with Provider(record, delays=DELAYS, now_ms=now_ms) as provider:
        app.include_router(provider_routes(provider))
        yield HttpGateway(Carried(httpx.ASGITransport(app, raise_app_exceptions=False)), URL, timeout=TIMEOUT)


GATEWAYS = {"direct": direct, "http": http}


def now_ms() -> int:
    """Return the virtual time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.epoch_ms()


@pytest.fixture(params=list(GATEWAYS))
def play(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Return a runner of scenes with one kind of gateway; ``record`` outlives its provider."""

    def played(scene: Play[T], record: MemoryRecord | None = None) -> T:
        kept = record or MemoryRecord()

        async def main() -> T:
            async with GATEWAYS[request.param](kept) as gateway:
                return await scene(gateway, kept)

        return run(main())

    return played


def outcomes(record: MemoryRecord) -> list[str]:
    """Return what became of each recorded call."""
    return [call.outcome.value for call in record.calls]


async def unknown(call: Awaitable[object]) -> None:
    """Expect that a call has no answer."""
    with pytest.raises(OutcomeUnknown):
        await call


async def seconds(call: Awaitable[object]) -> float:
    """Return how much virtual time a call takes."""
    began = asyncio.get_running_loop().time()
    await call
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("method", ["CreditCard", "PayPal", "BankTransfer"])
def test_money_is_taken_once_per_key(play: Callable[..., object], method: str) -> None:
    """Two charges under one key are one charge with one answer."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        first = await gateway.charge("key", 500, "EUR", method)
        second = await gateway.charge("key", 500, "EUR", method)

        assert isinstance(first, Charged)
        assert (first.amount_cents, first.currency) == (500, "EUR")
        assert first == second
        assert outcomes(record) == ["charged", "repeated"]

    play(scene)


@pytest.mark.parametrize("method", ["DeclinedCard", "invalid_card", "Barter"])
def test_a_refused_method_is_refused_for_good(play: Callable[..., object], method: str) -> None:
    """The refusal says why, and is the same again."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        first = await gateway.charge("key", 500, "EUR", method)
        second = await gateway.charge("key", 500, "EUR", method)

        assert isinstance(first, Refused)
        assert first.reason
        assert first == second
        assert outcomes(record) == ["refused", "repeated"]

    play(scene)


def test_everything_taken_is_given_back_once(play: Callable[..., object]) -> None:
    """A repeated refund gives the same answer and moves nothing."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        await gateway.charge("key", 500, "EUR", "CreditCard")

        assert await gateway.refund("key") == await gateway.refund("key") == Refund(500)
        assert outcomes(record) == ["charged", "refunded", "repeated"]
        assert [(call.amount_cents, call.currency) for call in record.calls] == [(500, "EUR"), (500, "EUR"), (0, "")]

    play(scene)


def test_a_charge_repeated_after_its_refund_takes_nothing_again(play: Callable[..., object]) -> None:
    """Whoever asks once more gets the old answer and is told that it is not paid; the provider keeps no money."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        first = await gateway.charge("key", 500, "EUR", "CreditCard")
        await gateway.refund("key")

        assert isinstance(first, Charged)
        assert await gateway.charge("key", 500, "EUR", "CreditCard") == replace(first, is_given_back=True)
        assert await gateway.refund("key") == Refund(500)
        assert outcomes(record).count("charged") == 1

    play(scene)


def test_a_key_never_heard_of_may_be_refunded_and_closed(play: Callable[..., object]) -> None:
    """Nothing was taken, and after the close nothing ever will be."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        assert await gateway.refund("key") == Refund(0)
        assert await gateway.close("key") == Closed(None)
        assert await gateway.close("key") == Closed(None)
        assert await gateway.charge("key", 500, "EUR", "CreditCard") == Refused("closed")
        assert outcomes(record) == ["nothing", "closed", "repeated", "refused"]

    play(scene)


def test_closing_reports_what_was_taken_refunded_or_not(play: Callable[..., object]) -> None:
    """An undo that is tried again learns the same as at first."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        charged = await gateway.charge("key", 500, "EUR", "CreditCard")
        before = await gateway.close("key")
        await gateway.refund("key")
        after = await gateway.close("key")

        assert before == after == Closed(charged if isinstance(charged, Charged) else None)

    play(scene)


def test_a_silent_charge_has_landed_and_is_answered_when_asked_again(play: Callable[..., object]) -> None:
    """Money taken, no answer: unknown at first, at once with the same key."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        await unknown(gateway.charge("key", 500, "EUR", "TimeoutAfterCharge"))
        assert outcomes(record) == ["charged"]

        assert await seconds(gateway.charge("key", 500, "EUR", "TimeoutAfterCharge")) == 0
        assert outcomes(record) == ["charged", "repeated"]

    play(scene)


def test_a_broken_provider_works_at_the_third_call_even_if_it_was_restarted(
    play: Callable[..., object],
) -> None:
    """Failures are counted in the record, so a restart does not begin anew."""
    record = MemoryRecord()

    async def once(gateway: Gateway, _: MemoryRecord) -> None:
        await unknown(gateway.charge("key", 500, "EUR", "BrokenProvider"))

    async def then(gateway: Gateway, _: MemoryRecord) -> None:
        assert isinstance(await gateway.charge("key", 500, "EUR", "BrokenProvider"), Charged)

    play(once, record)
    play(once, record)
    play(then, record)

    assert outcomes(record) == ["broken", "broken", "charged"]


def test_a_slow_charge_is_answered_late_but_in_time(play: Callable[..., object]) -> None:
    """It takes its two seconds before it lands."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        assert await seconds(gateway.charge("key", 500, "EUR", "SlowProvider")) == 2
        assert outcomes(record) == ["charged"]

    play(scene)


def test_a_charge_that_lands_after_the_close_is_refused(play: Callable[..., object]) -> None:
    """Charge under way, close, landing: the close says nothing was taken, and nothing is."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        charge = asyncio.ensure_future(gateway.charge("key", 500, "EUR", "SlowProvider"))
        await asyncio.sleep(1)

        assert await gateway.close("key") == Closed(None)
        assert await charge == Refused("closed")
        assert outcomes(record) == ["closed", "refused"]

    play(scene)


def test_a_charge_goes_on_when_its_caller_is_gone(play: Callable[..., object]) -> None:
    """Killing the worker does not stop the provider: the charge lands, and a close after it reports it."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        charge = asyncio.ensure_future(gateway.charge("key", 500, "EUR", "SlowProvider"))
        await asyncio.sleep(1)
        charge.cancel()
        await asyncio.sleep(2)

        assert outcomes(record) == ["charged"]
        closed = await gateway.close("key")
        assert closed.taken is not None
        assert await gateway.refund("key") == Refund(500)

    play(scene)


def test_two_slow_charges_under_one_key_land_once(play: Callable[..., object]) -> None:
    """A redelivered step calls while the first call is still under way."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        answers = await asyncio.gather(*(gateway.charge("key", 500, "EUR", "SlowProvider") for _ in range(2)))

        assert answers[0] == answers[1]
        assert outcomes(record) == ["charged", "repeated"]

    play(scene)


@pytest.mark.parametrize(
    ("method", "first"),
    [("CreditCard", Outcome.CHARGED), ("DeclinedCard", Outcome.REFUSED), ("BrokenProvider", Outcome.BROKEN)],
)
def test_another_charge_under_the_same_key_is_not_answered(
    play: Callable[..., object], method: str, first: Outcome
) -> None:
    """The stored answer is about another amount, so it must not be taken for this one, whatever it was."""

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        with suppress(OutcomeUnknown):
            await gateway.charge("key", 500, "EUR", method)

        for amount_cents, currency in ((501, "EUR"), (500, "USD")):
            await unknown(gateway.charge("key", amount_cents, currency, method))
        assert [call.outcome for call in record.calls] == [first]

    play(scene)


class FullRecord(MemoryRecord):
    """A record for which there is room no more, once a test says so."""

    is_full = False

    def append(self, call: Call) -> None:
        """Keep one call while there is room."""
        if self.is_full:
            raise OSError("no space left on device")
        super().append(call)


def test_what_a_provider_cannot_write_down_is_not_answered(play: Callable[..., object]) -> None:
    """Neither as done nor as refused: once there is room it is asked again, and the money goes back once."""

    async def scene(gateway: Gateway, record: FullRecord) -> None:
        await gateway.charge("key", 500, "EUR", "CreditCard")
        record.is_full = True

        await unknown(gateway.charge("other", 500, "EUR", "CreditCard"))
        await unknown(gateway.refund("key"))
        await unknown(gateway.close("key"))
        record.is_full = False
        assert await gateway.refund("key") == Refund(500)
        assert (await gateway.close("other")).taken is None

    record = FullRecord()

    play(scene, record)

    assert outcomes(record) == ["charged", "refunded", "closed"]


def test_a_provider_that_stops_during_a_call_leaves_it_unknown(play: Callable[..., object]) -> None:
    """Whoever still waits is told that nothing is known, not that he was cancelled."""
    left: list[asyncio.Future[object]] = []

    async def scene(gateway: Gateway, record: MemoryRecord) -> None:
        left.append(asyncio.ensure_future(gateway.charge("key", 500, "EUR", "SlowProvider")))
        await asyncio.sleep(1)

    async def main_after(gateway: Gateway, record: MemoryRecord) -> None:
        await scene(gateway, record)

    record = MemoryRecord()

    play(main_after, record)

    assert record.calls == []
    assert left[0].done()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(500, json={"refused": "looks like an answer"}),
        httpx.Response(500, json={"taken": None}),
        httpx.Response(500, json={"refundedCents": 500}),
        httpx.Response(503, text="later"),
        httpx.Response(404),
        httpx.Response(200, text="not JSON"),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"taken": None, "refused": None}),
        httpx.Response(200, json={"taken": {"reference": "pay_1"}}),
        httpx.Response(302, headers={"Location": "http://elsewhere"}),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.text}".strip(),
)
async def test_an_answer_that_decides_nothing_is_unknown(answer: httpx.Response) -> None:
    """Only a whole answer counts as success or refusal."""
    gateway = HttpGateway(Carried(httpx.MockTransport(lambda _: answer)), URL, timeout=TIMEOUT)
    for call in (gateway.charge("key", 500, "EUR", "CreditCard"), gateway.refund("key"), gateway.close("key")):
        await unknown(call)


@pytest.mark.parametrize(
    "trouble",
    [
        aiohttp.ClientConnectionError,
        aiohttp.ClientOSError,
        aiohttp.ClientPayloadError,
        aiohttp.ServerDisconnectedError,
        aiohttp.ServerTimeoutError,
    ],
)
async def test_trouble_with_the_connection_is_unknown(trouble: type[Exception]) -> None:
    """The request may have arrived."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise trouble("connection reset")

    gateway = HttpGateway(Carried(httpx.MockTransport(fail)), URL, timeout=TIMEOUT)
    for call in (gateway.charge("key", 500, "EUR", "CreditCard"), gateway.refund("key"), gateway.close("key")):
        await unknown(call)


async def test_a_provider_is_reached_over_a_socket() -> None:
    """A path in its address is kept; nobody there is an unknown outcome."""
    asked: list[str] = []

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.partition("\r\n")[0])
        await reader.readexactly(int(re.search(r"content-length: (\d+)", head, re.IGNORECASE)[1]))  # type: ignore[index]
        body = b'{"refundedCents": 7}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with ProviderConnections() as connections:
        gateway = HttpGateway(connections, f"http://127.0.0.1:{port}/test/", timeout=TIMEOUT)
        async with server:
            assert await gateway.refund("key") == Refund(7)
        await unknown(gateway.refund("key"))
    assert asked == ["POST /test/refunds HTTP/1.1"]


async def test_a_charge_says_over_the_socket_what_it_is_and_of_which_trace() -> None:
    """A provider that is not told that this is JSON may refuse to read it, and every payment would fail."""
    asked: list[str] = []

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        body = b'{"refused": "no"}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    kept = InMemorySpanExporter()
    async with server, ProviderConnections() as connections:
        with tracing.traced(Settings(traces="otlp"), lambda: SimpleSpanProcessor(kept)):
            await HttpGateway(connections, url, timeout=TIMEOUT).charge("key", 500, "EUR", "CreditCard")

    (head,), (span,) = asked, kept.get_finished_spans()
    assert "content-type: application/json\r\n" in head
    assert f"traceparent: 00-{span.context.trace_id:032x}-{span.context.span_id:016x}-" in head


async def test_no_charge_waits_for_the_others_to_be_answered() -> None:
    """However many are under way: what waits here for its turn would have no time left with the provider."""
    many = 120
    come, all_there = 0, asyncio.Event()

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal come
        await reader.readuntil(b"\r\n\r\n")
        come += 1
        if come == many:
            all_there.set()
        await all_there.wait()
        body = b'{"refundedCents": 7}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0, backlog=many)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, ProviderConnections() as connections:
        gateway = HttpGateway(connections, url, timeout=TIMEOUT)
        told = await asyncio.gather(*(gateway.refund(str(number)) for number in range(many)))

    assert told == [Refund(7)] * many


async def test_a_provider_that_sends_us_elsewhere_has_decided_nothing_and_no_money_is_asked_for_there() -> None:
    """Whoever answers in its place would be told whom to charge how much."""
    asked: list[str] = []

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"content-length: (\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
        asked.append(f"{head.split()[1]} {(await reader.readexactly(length)).decode()}")
        writer.write(
            b"HTTP/1.1 307 Elsewhere\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, ProviderConnections() as connections:
        await unknown(HttpGateway(connections, url, timeout=TIMEOUT).charge("key", 500, "EUR", "CreditCard"))

    assert asked == ['/charges {"key":"key","amountCents":500,"currency":"EUR","method":"CreditCard"}']


@pytest.mark.parametrize("coding", [b"", b"Content-Encoding: gzip\r\n"], ids=["plain", "compressed"])
async def test_an_answer_without_end_is_not_taken_in(coding: bytes) -> None:
    """However fast it comes, all charges under way share the memory of one process."""
    most, part = 8 * 1024 * 1024, gzip.compress(bytes(1024 * 1024)) if coding else bytes(64 * 1024)
    sent, hung_up = 0, asyncio.Event()

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + coding + b"Connection: close\r\n\r\n")
        with suppress(ConnectionError):
            while sent < most:
                writer.write(part)
                sent += len(part)
                await writer.drain()
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, ProviderConnections() as connections:
        with pytest.raises(OutcomeUnknown, match="an answer of more than"):
            await HttpGateway(connections, url, timeout=TIMEOUT).charge("key", 500, "EUR", "CreditCard")
        await hung_up.wait()

    assert 0 < sent < most
