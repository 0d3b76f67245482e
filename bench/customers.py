"""Customers: orders over HTTP/1.1 on kept-alive connections, as raw bytes, so that the client costs little."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from dataclasses import dataclass
from typing import Self

from bench.load import PRICE_CENTS, PRODUCTS, STORE, product

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A shop's answer."""

    status: int
    body: bytes

    @property
    def saga_id(self) -> str:
        """Return the saga id of an accepted order, empty if it was not accepted."""
        return str(json.loads(self.body)["sagaId"]) if self.status == 202 else ""


class Customers:
    """Connections to one shop, opened on demand, at most ``most``; a caller waits while none is free."""

    def __init__(self, port: int, *, most: int) -> None:
        self._port = port
        self._most = asyncio.Semaphore(most)
        self._free: deque[_Wire] = deque()
        self._all: list[_Wire] = []

    async def __aenter__(self) -> Self:
        """Return itself; the first order connects."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        for wire in self._all:
            wire.close()

    async def order(self, number: int) -> Answer:
        """Place an order.

        Raises: ``ConnectionError`` if the shop closes the connection, ``TimeoutError`` if it does not answer.
        """
        async with self._most:
            while self._free and not self._free[-1].is_open:  # the shop closes connections idle for some seconds
                self._free.pop()
            wire = self._free.pop() if self._free else await self._connected()
            answer = await wire.ask(request(number))
            self._free.append(wire)
        return answer

    async def _connected(self) -> _Wire:
        _, wire = await asyncio.get_running_loop().create_connection(_Wire, "127.0.0.1", self._port)
        self._all.append(wire)
        return wire


def request(number: int) -> bytes:
    """Return an order as the bytes of an HTTP request."""
    price = f"{PRICE_CENTS / 100:.2f}"
    body = json.dumps({
        "customerId": f"customer-{number % 100}",
        "storeId": STORE,
        "paymentMethod": "CreditCard",
        "totalAmount": f"{(2 * PRICE_CENTS + 1) / 100:.2f}",
        "items": [{
            "productId": product(number % PRODUCTS), "quantity": 2, "unitPrice": price,
            "totalPrice": f"{2 * PRICE_CENTS / 100:.2f}",
        }],
    }).encode()  # fmt: skip
    head = (
        "POST /api/orders/choreographed-saga HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Wire(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._come = b""

    @property
    def is_open(self) -> bool:
        """Tell whether a request can be sent."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Check whether the answer is complete."""
        self._come += data
        head, found, body = self._come.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if found and length and len(body) >= int(length[1]) and self._answer is not None:
            self._come = b""
            self._answer.set_result(Answer(int(head.split(b" ", 2)[1]), body))
            self._answer = None

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the waiting request, and refuse later ones."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the shop hung up"))

    async def ask(self, data: bytes) -> Answer:
        """Send a request and return the answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        async with asyncio.timeout(_PATIENCE_S):
            return await self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
