"""One attempt at one webhook: signed, to an address that was judged, within its time, and nowhere else."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sagastream.settings import Settings
from sagastream.webhooks.sending import NotAllowed, NotDelivered, Sender, resolved
from sagastream.webhooks.signing import headers, keys_of
from tests.needs import program
from tests.unit.webhooks.receiver import OK, SECRET, Receiver, Request, answer, receiving, settings

BODY = b'{"type":"saga.completed"}'
NOW_S = 1_700_000_000


def names(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Return what looks every name up as these addresses."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


async def send(told: Settings, **how: Any) -> None:  # noqa: ANN401  # as the sender takes it
    async with Sender(told, now_s=lambda: NOW_S, **how) as sender:
        await sender.send("one", BODY)


async def test_a_webhook_arrives_signed_and_whole() -> None:
    """A POST of JSON, to the path and query that were named, for the host that was named."""
    async with receiving(receiver := Receiver()) as port:
        await send(settings(f"http://receiver.example:{port}/hook?from=shop"), resolve=names("127.0.0.1"))

    (request,) = receiver.requests
    assert (request.line, request.body) == ("POST /hook?from=shop HTTP/1.1", BODY)
    assert request.headers["host"] == f"receiver.example:{port}"
    assert request.headers["content-type"] == "application/json"
    signed = headers(keys_of(SECRET), id="one", at_s=NOW_S, body=BODY)
    assert {name: request.headers[name] for name in signed} == signed


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Neither to another path nor to another host: what is there was never judged."""
    other = Receiver()
    async with receiving(other) as elsewhere:
        to = f"location: http://127.0.0.1:{elsewhere}/"
        async with receiving(receiver := Receiver(lambda request: answer(status, to))) as port:
            with pytest.raises(NotDelivered, match=f"answered {status}: redirects are not followed"):
                await send(settings(f"http://127.0.0.1:{port}/"))

    assert (len(receiver.requests), other.connections) == (1, 0)


@pytest.mark.parametrize("status", [199 + 201, 404, 410, 429, 500, 503])
async def test_any_other_answer_says_that_it_was_not_received(status: int) -> None:
    async with receiving(Receiver(lambda request: answer(status))) as port:
        with pytest.raises(NotDelivered, match=f"^answered {status}$"):
            await send(settings(f"http://127.0.0.1:{port}/"))


@pytest.mark.parametrize(
    ("url", "networks"),
    [
        ("http://127.0.0.1:{port}/", ""),
        ("https://127.0.0.1:{port}/", ""),
        ("http://127.0.0.1:{port}/", "10.0.0.0/8"),
        ("http://localhost:{port}/", ""),
        ("http://2130706433:{port}/", ""),
        ("http://0x7f.1:{port}/", ""),
        ("http://[::ffff:127.0.0.1]:{port}/", ""),
        ("http://[::1]:{port}/", ""),
    ],
)
async def test_an_address_that_is_not_one_of_the_internet_is_not_even_connected_to(url: str, networks: str) -> None:
    """However it is written, and whatever looks names up."""
    async with receiving(receiver := Receiver()) as port:
        with pytest.raises(NotAllowed, match="WEBHOOK_PRIVATE_NETWORKS"):
            await send(settings(url.format(port=port), networks=networks))

    assert receiver.connections == 0


@pytest.mark.parametrize("addresses", [("93.184.216.34", "10.0.0.1"), ("10.0.0.1", "93.184.216.34"), ("fe80::1",)])
async def test_one_address_that_is_not_allowed_forbids_the_name(addresses: tuple[str, ...]) -> None:
    """Otherwise it would be a matter of luck, or of the attacker's patience, which one is called."""

    def unused() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(lambda request: pytest.fail("something was sent")))

    with pytest.raises(NotAllowed, match=next(each for each in addresses if not each.startswith("93"))):
        await send(settings("https://receiver.example/", networks=""), resolve=names(*addresses), client=unused)


async def test_what_was_judged_is_what_is_called() -> None:
    """A name that means something else the next moment (DNS rebinding) is looked up once for each attempt."""
    lookups: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        lookups.append(host)
        return ["127.0.0.1"] if len(lookups) == 1 else ["10.255.255.1"]

    async with receiving(receiver := Receiver()) as port:
        told = settings(f"http://rebinding.example:{port}/", networks="127.0.0.1/32")
        async with Sender(told, resolve=resolve) as sender:
            await sender.send("one", BODY)
            assert (lookups, receiver.ids) == (["rebinding.example"], ["one"])
            with pytest.raises(NotAllowed, match=r"10\.255\.255\.1"):
                await sender.send("two", BODY)

    assert receiver.ids == ["one"], "an open connection to what was allowed before must not be used either"


async def test_plain_http_leaves_only_for_networks_that_are_named() -> None:
    """What is sent to the internet is not to be read on its way."""
    with pytest.raises(NotAllowed, match="only https"):
        await send(settings("http://receiver.example/", networks=""), resolve=names("93.184.216.34"))


async def test_a_receiver_that_does_not_answer_in_time_has_not_received() -> None:
    async def never(request: Request) -> bytes:
        await asyncio.sleep(60)
        return OK

    async with receiving(Receiver(never)) as port:
        with pytest.raises(NotDelivered, match=r"no answer within 0\.2 s"):
            await send(settings(f"http://127.0.0.1:{port}/", webhook_timeout=timedelta(seconds=0.2)))


async def test_an_answer_without_an_end_holds_nobody_up() -> None:
    """Its status is what counts; of what follows only so much is read."""
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + bytes(1 << 16)
    async with receiving(Receiver(lambda request: endless)) as port:
        await send(settings(f"http://127.0.0.1:{port}/", webhook_timeout=timedelta(seconds=5)))


async def test_the_next_address_is_called_where_the_first_is_silent() -> None:
    async with receiving(receiver := Receiver()) as port:
        told = settings(f"http://receiver.example:{port}/")
        await send(told, resolve=names("127.0.0.9", "127.0.0.1"))

    assert receiver.ids == ["one"]


async def test_the_next_address_is_called_where_nothing_comes_back_from_the_first() -> None:
    """Not even that nobody is there: as with IPv6 that leads nowhere, or a machine that is switched off."""
    async with receiving(receiver := Receiver()) as port:
        with ExitStack() as stack:
            full = stack.enter_context(socket.create_server(("127.0.0.9", port), backlog=0))
            for _ in range(3):  # whoever comes after these hears nothing
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            told = settings(f"http://receiver.example:{port}/", webhook_timeout=timedelta(seconds=2))
            await send(told, resolve=names("127.0.0.9", "127.0.0.1"))

    assert receiver.ids == ["one"]


async def test_a_name_nobody_answers_for_keeps_nobody_from_finding_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same process others look up the store's server, and have two seconds to connect."""
    answered, find = threading.Event(), socket.getaddrinfo

    def silent(host: str, *rest: Any, **further: Any) -> Any:  # noqa: ANN401  # whatever it takes and returns
        return find("127.0.0.1" if host == "silent.example" and answered.wait(60) else host, *rest, **further)

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    waiting = [asyncio.create_task(resolved("silent.example", 443)) for _ in range(40)]
    try:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 6379)
        assert not any(task.done() for task in waiting)
    finally:
        answered.set()

    assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * 40


async def test_nobody_there_is_told_without_the_place() -> None:
    """What is raised is logged and kept in letters; an URL may hold what is nobody's business."""
    async with receiving(Receiver()) as port:
        pass
    with pytest.raises(NotDelivered, match="ConnectError") as refused:
        await send(settings(f"http://127.0.0.1:{port}/hook?token=of-the-receiver"))

    assert "token" not in str(refused.value)
    assert "hook" not in str(refused.value)


async def test_connections_are_kept_and_no_more_are_open_than_allowed() -> None:
    """Nothing that the receiver sets, such as a cookie, is sent back."""
    at_once: list[int] = [0, 0]
    three_of_them = asyncio.Barrier(3)

    async def together(request: Request) -> bytes:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await three_of_them.wait()
        at_once[0] -= 1
        return answer(200, "set-cookie: a=b")

    async with (
        receiving(receiver := Receiver(together)) as port,
        Sender(settings(f"http://127.0.0.1:{port}/", webhook_connections=3)) as sender,
    ):
        await asyncio.gather(*(sender.send(f"id-{at}", BODY) for at in range(12)))

    assert (len(set(receiver.ids)), receiver.connections, at_once[1]) == (12, 3, 3)
    assert not any("cookie" in request.headers for request in receiver.requests)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate of receiver.example that nobody trusts unless told to, and its key beside it."""
    made = tmp_path / "receiver.pem"
    command = [str(program("openssl")), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
               "-subj", "/CN=receiver", "-addext", "subjectAltName=DNS:receiver.example",
               "-keyout", f"{made}.key", "-out", str(made)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made


async def test_the_certificate_must_be_that_of_the_name(certificate: Path) -> None:
    """The address is called, but who answers must prove to be the one who was named."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, f"{certificate}.key")

    def trusting() -> httpx.AsyncClient:
        return httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(certificate)), trust_env=False)

    async with receiving(receiver := Receiver(), certificate=theirs) as port:
        here = names("127.0.0.1")
        await send(settings(f"https://receiver.example:{port}/"), resolve=here, client=trusting)
        with pytest.raises(NotDelivered, match="certificate"):
            await send(settings(f"https://other.example:{port}/"), resolve=here, client=trusting)
        with pytest.raises(NotDelivered, match="certificate"):
            await send(settings(f"https://receiver.example:{port}/"), resolve=here)

    assert receiver.ids == ["one"]


@pytest.mark.parametrize("after", [b"", b"half"], ids=["silent", "half an answer"])
@pytest.mark.parametrize("hangs_up", [True, False])
async def test_whoever_said_that_it_was_received_need_not_end_the_sentence(after: bytes, hangs_up: bool) -> None:
    """The status is what counts; what should have followed it is lost with the connection, or never comes."""

    async def received(request: Request) -> bytes:
        for line in receiver.lines:
            line.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + after)
            await line.drain()
        if hangs_up:
            raise ConnectionResetError
        await asyncio.sleep(60)
        return b""

    async with receiving(receiver := Receiver(received)) as port:
        await send(settings(f"http://127.0.0.1:{port}/"))

    assert receiver.ids == ["one"]
